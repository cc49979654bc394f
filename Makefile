# Two commands need nothing but Python 3.11 or newer, pip and make:
#   make demo    sets up, trains on real candles, evaluates, exports, proves, predicts without training libraries, and
#                leaves all of it and a report in .demo
#   make test    sets up, passes the tests; those of the tree kernel need a C++ compiler as well

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
SETUP := .venv/.set-up
# The oldest onnxruntime that glulam's files run in, every second release since, the newest; what the tests leave for
# them to run.
OLDEST ?= 1.21.0
RELEASES ?= $(OLDEST) 1.23.2 1.25.1 1.27.0 1.29.0 1.31.1 1.32.0
EXPORTS := .exports
# clang, and the C libraries of other systems: a package of PyPI
ZIG := .venv-zig/bin/python
ZIG_HERE := $(subst arm64,aarch64,$(shell uname -m))-linux-gnu.2.17

.PHONY: demo test kernel kernel-warnings check-manylinux check-oldest check-releases check-speed fuzz \
	lint types check-wheel bench table clean

demo: $(SETUP)
	@rm -rf .demo
	@$(BIN)/glulam demo --out .demo

# The library that onnxruntime's trees run in; `make test` builds it too, where there is a compiler.
kernel: $(SETUP)
	@GLULAM_BUILD_KERNEL=1 $(BIN)/python hatch_build.py

# g++, or what c++ is here, and clang
kernel-warnings: $(SETUP) .venv-zig/.ready
	@mkdir -p build
	@$(BIN)/python hatch_build.py build/libglulam-default.so
	@CXX="$(ZIG) -m ziglang c++ -target $(ZIG_HERE)" $(BIN)/python hatch_build.py build/libglulam-clang.so

# Two test processes share two cores: threads that spin while they wait would take the other's time.
test: $(SETUP)
	@$(BIN)/python hatch_build.py
	@rm -rf $(EXPORTS)
	@OMP_WAIT_POLICY=passive GLULAM_KEEP_EXPORTS="$(CURDIR)/$(EXPORTS)" $(BIN)/python -m pytest -n 2 --dist loadgroup

# These three come after `make test`, which leaves files for them. They need a Python that each onnxruntime has a
# wheel for: 1.21.0 up to 3.13.
check-oldest: .venv-releases/$(OLDEST)/.ready
	@.venv-releases/$(OLDEST)/bin/python tests/oldest_onnxruntime.py $(EXPORTS)

check-releases: kernel build/operators/since.json $(RELEASES:%=.venv-releases/%/.ready)
	@for release in $(RELEASES); do \
		PYTHONPATH=core .venv-releases/$$release/bin/python tests/releases.py $(EXPORTS) build/operators || exit 1; \
	done

# The library of a wheel for Linux with glibc 2.17 or newer: its symbols, then its answers.
check-manylinux: build/operators/since.json .venv-releases/$(lastword $(RELEASES))/.ready .venv-zig/.ready
	@rm -rf build/manylinux
	@$(ZIG) kernel/cross.py --into build/manylinux $(ZIG_HERE)
	@$(BIN)/python -m zipfile -e build/manylinux/*.whl build/manylinux
	@PYTHONPATH=build/manylinux .venv-releases/$(lastword $(RELEASES))/bin/python tests/releases.py $(EXPORTS) \
		build/operators

build/operators/since.json: tests/kernel/op_models.py | $(SETUP)
	@rm -rf build/operators
	@$(BIN)/python tests/kernel/op_models.py make build/operators

# Models made to harm, under sanitizers; FUZZ=--quick takes seconds, FUZZ=--tsan runs threads at once.
fuzz:
	@kernel/fuzz/run.sh $(FUZZ)

# Instructions, which no other program on the machine changes; needs valgrind.
check-speed: $(SETUP)
	@$(BIN)/python -m benchmarks instructions

lint: $(SETUP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(SETUP)
	@$(BIN)/mypy

check-wheel: $(SETUP)
	@$(BIN)/python tests/check_wheel.py

bench: $(SETUP)
	@mkdir -p .bench
	@$(BIN)/python -m benchmarks --date --json .bench/run.json --out .bench/run.md --plot docs/latency.svg

# Wheels are kept in .wheels: a second set-up needs no network.
.venv-releases/%/.ready:
	@echo "setting up .venv-releases/$* with onnxruntime $* ..."
	@$(PYTHON) -m venv --clear .venv-releases/$*
	@mkdir -p .wheels
	@pip() { .venv-releases/$*/bin/python -m pip --disable-pip-version-check --quiet "$$@"; }; \
	pip install --no-index --find-links .wheels numpy onnxruntime==$* 2>/dev/null || { \
		pip download --only-binary :all: --dest .wheels numpy onnxruntime==$* && \
		pip install --no-index --find-links .wheels numpy onnxruntime==$*; }
	@touch $@

.venv-zig/.ready: constraints.txt
	@echo "setting up .venv-zig ..."
	@$(PYTHON) -m venv --clear .venv-zig
	@$(ZIG) -m pip install --quiet --disable-pip-version-check -c constraints.txt ziglang build hatchling
	@touch $@

# docs/what-exports.md, from the matrix in tests/exactness
table: $(SETUP)
	@cd tests && ../$(BIN)/python -W ignore -m exactness.table

$(SETUP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "glulam needs Python 3.11 or newer; found $$(python3 --version 2>&1). Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "glulam needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	@touch $@

clean:
	rm -rf .venv .venv-releases .venv-zig .demo $(EXPORTS) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
