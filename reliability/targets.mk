# Everything that can go wrong, tried: README.md here, figures in docs/reliability.md. Included by the Makefile of the project.
#
# All of it needs root: daemons change their user. SEED=N has a run of races or hostile again.

TRUST := $(abspath $(VENV))/bin/python -B
SEEDED = $(if $(SEED),--seed $(SEED))
SWEEP := $(TRUST) reliability/sweep/sweep.py --venv $(abspath $(VENV))

.PHONY: trust check-trust reliability sweep check-sweep sweep-monitor sweep-command check-sweep-command races hostile attacks \
        privileges load endurance memory check-memory asan valgrind miri fuzz

trust: sweep sweep-monitor sweep-command races hostile attacks privileges load endurance memory

# Each in short: part of `make ci`.
check-trust: check-sweep check-sweep-command reliability check-memory
	@echo "== races, a hostile directory, attacks, privileges, load, endurance, in short"
	@$(TRUST) reliability/races/races.py --herd 100 --rounds 5 --seconds 15 $(SEEDED)
	@$(TRUST) reliability/hostile/hostile.py --seconds 3 $(SEEDED)
	@$(TRUST) reliability/trust/attacks.py --here $(SEEDED)
	@$(TRUST) reliability/trust/attacks.py $(SEEDED) daemonctx.h libdaemon
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

# The core's unit tests are a starter and a monitor as well.
sweep-monitor:
	@echo "== the fault sweep over launches: starter, guard, monitor and the program's child"
	@binary=$$($(CARGO) test -q -p daemonctx --lib --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); \
		RUST_BACKTRACE=0 $(PYTHON) reliability/sweep/monitor.py $$binary

# VARIANTS are those of reliability/sweep/variants.py, all of them unless given; SWEEP_OPTIONS as command.py --help says.
sweep-command: command
	@echo "== \`daemonctx start\` in all its variants: errors, kills, stops, delays and signals at each call of each process"
	@$(PYTHON) -B reliability/sweep/command.py $(addprefix --variant ,$(VARIANTS)) $(SWEEP_OPTIONS) $(BIN)/daemonctx

# As many of these as take a minute, the same ones each time.
check-sweep-command: command
	@echo "== the sweep over \`daemonctx start\`, in short"
	@$(PYTHON) -B reliability/sweep/command.py --runs 600 $(SEEDED) $(BIN)/daemonctx

races: reliability
	@echo "== races: 200 starts at once, 200 times; starts against stops against kills for ten minutes"
	@$(TRUST) reliability/races/races.py $(SEEDED)

hostile: reliability
	@echo "== a directory where others may write"
	@$(TRUST) reliability/hostile/hostile.py $(SEEDED)

# ATTACK_SECONDS is how long they go on, in another order each time.
ATTACK_SECONDS ?= 600
attacks: reliability
	@echo "== attacks on pid files, $(ATTACK_SECONDS) seconds"
	@$(TRUST) reliability/trust/attacks.py --seconds $(ATTACK_SECONDS) $(SEEDED)
	@$(TRUST) reliability/trust/attacks.py --here --seconds $(ATTACK_SECONDS) $(SEEDED)

privileges: reliability
	@echo "== privileges, from whatever they come"
	@$(TRUST) reliability/privileges/privileges.py

load: reliability
	@echo "== load"
	@$(TRUST) reliability/load/load.py

endurance: reliability
	@echo "== started and stopped ten thousand times"
	@$(TRUST) reliability/endurance/endurance.py

# Sanitizers, valgrind, Miri and fuzzing: reliability/memory, reliability/fuzz. They take nightly Rust and its components, valgrind and
# cargo-fuzz, which is built in target/memory. SECONDS is what libFuzzer has for each of its targets.
SECONDS ?= 300
FUZZ := $(TRUST) reliability/fuzz/fuzz.py
FUZZ_SEED = $(if $(SEED),--seed $(SEED))

memory: asan valgrind miri fuzz

# The corpora and as many random inputs as take half a minute, on stable Rust.
check-memory: python
	@echo "== fuzzing, in short"
	@$(FUZZ) replay --times 5000 $(FUZZ_SEED)
	@$(FUZZ) python --calls 1000 $(FUZZ_SEED)

asan: original
	@echo "== the C tests with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer"
	@rustup toolchain install nightly --profile minimal --no-self-update
	@$(PYTHON) -B reliability/memory/suites.py address

valgrind: library original
	@echo "== the C tests below valgrind"
	@command -v valgrind > /dev/null || { echo "apt-get install valgrind" >&2; exit 1; }
	@$(PYTHON) -B reliability/memory/suites.py valgrind

miri:
	@echo "== the unit tests of the core in Miri"
	@rustup component add --toolchain nightly miri rust-src
	MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test -q -p daemonctx --lib --target-dir target/memory/miri

fuzz: python
	@echo "== fuzzing, $(SECONDS) seconds for each target"
	@$(FUZZ) run --seconds $(SECONDS) $(FUZZ_SEED)
	@$(FUZZ) replay --times 100000 $(FUZZ_SEED)
	@$(FUZZ) python --calls 20000 $(FUZZ_SEED)
