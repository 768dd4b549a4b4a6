# Everything that can go wrong, tried: README.md here, figures in docs/reliability.md. Included by the Makefile of the project.
#
# All of it needs root: daemons change their user. SEED=N has a run of races or hostile again.

TRUST := $(abspath $(VENV))/bin/python -B
SEEDED = $(if $(SEED),--seed $(SEED))
SWEEP := $(TRUST) reliability/sweep/sweep.py --venv $(abspath $(VENV))

.PHONY: trust check-trust reliability sweep check-sweep races hostile privileges load endurance

trust: sweep races hostile privileges load endurance

# Each in short: part of `make ci`.
check-trust: check-sweep reliability
	@echo "== races, a hostile directory, privileges, load, endurance, in short"
	@$(TRUST) reliability/races/races.py --herd 100 --rounds 5 --seconds 15 $(SEEDED)
	@$(TRUST) reliability/hostile/hostile.py --seconds 3 $(SEEDED)
	@$(TRUST) reliability/privileges/privileges.py --threads 50 --quiet
	@$(TRUST) reliability/load/load.py --share 0.02
	@$(TRUST) reliability/endurance/endurance.py --times 100

# The programs that the drivers run.
reliability: library command python
	@$(MAKE) --no-print-directory -C reliability LIBDIR=$(abspath $(LIB)) BUILD=$(abspath target/reliability) \
		COMMAND=$(abspath $(BIN)/daemonctx)

sweep: library original python
	@echo "== every system call of a start made to fail, every process killed at every call; the same over others"
	@mkdir -p target/sweep
	@$(SWEEP) --json target/sweep/sweep.json --markdown target/sweep/sweep.md

# Each call with one errno, one program for each interface.
check-sweep: library original python
	@echo "== the fault sweep, in short"
	@$(SWEEP) --short

races: reliability
	@echo "== races: 200 starts at once, 200 times; starts against stops against kills for ten minutes"
	@$(TRUST) reliability/races/races.py $(SEEDED)

hostile: reliability
	@echo "== a directory where others may write"
	@$(TRUST) reliability/hostile/hostile.py $(SEEDED)

privileges: reliability
	@echo "== privileges, from whatever they come"
	@$(TRUST) reliability/privileges/privileges.py

load: reliability
	@echo "== load"
	@$(TRUST) reliability/load/load.py

endurance: reliability
	@echo "== started and stopped ten thousand times"
	@$(TRUST) reliability/endurance/endurance.py
