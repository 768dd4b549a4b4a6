# Measured beside the others: README.md here, figures in docs/performance.md. Included by the Makefile of the project.
#
#     make bench PARTS='starts-c memory' EFFORT=10
#
# Peers are installed below target/ only: pip into virtual environments, crates by cargo, Debian's packages unpacked.

MEASURE := PYTHONPATH=bench $(abspath $(VENV))/bin/python -B
PARTS ?=
EFFORT ?= 100

.PHONY: bench bench-docs bench-calls check-speed

bench: library original command $(VENV)/.tools
	@echo "== measured beside the others; figures in target/bench/*.json"
	@$(MEASURE) bench/run.py --effort $(EFFORT) $(PARTS)

# What has been measured, as tables and plots: docs/performance.md, docs/plots.
bench-docs: $(VENV)/.tools
	@$(MEASURE) bench/docs.py

# The system calls of a start as they are now, into bench/calls. A new one has "?" for its reason.
bench-calls: library original $(VENV)/.tools
	@$(MEASURE) bench/parts/calls.py --write

check-speed: library original $(VENV)/.tools
	@echo "== speed: system calls, instructions, sizes; times only where they are far off"
	@$(MEASURE) bench/check.py
