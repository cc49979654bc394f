# Two commands need nothing but Python 3.11 or newer, pip and make:
#   make demo    sets up, trains on real candles, exports, proves, predicts without training libraries
#   make test    sets up, passes the tests

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
SETUP := .venv/.set-up
# The oldest onnxruntime that glulam's files run in, and what the tests leave for it to run.
OLDEST ?= 1.21.0
EXPORTS := .exports

.PHONY: demo test check-oldest lint types check-wheel bench table clean

demo: $(SETUP)
	@$(BIN)/glulam demo

# Two test processes share two cores: threads that spin while they wait would take the other's time.
test: $(SETUP)
	@rm -rf $(EXPORTS)
	@OMP_WAIT_POLICY=passive GLULAM_KEEP_EXPORTS="$(CURDIR)/$(EXPORTS)" $(BIN)/python -m pytest -n 2 --dist loadgroup

# After `make test`. Needs a Python that the oldest onnxruntime has a wheel for: 1.21.0 up to 3.13.
check-oldest: .venv-oldest/.$(OLDEST)
	@.venv-oldest/bin/python tests/oldest_onnxruntime.py $(EXPORTS)

lint: $(SETUP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(SETUP)
	@$(BIN)/mypy

check-wheel: $(SETUP)
	@$(BIN)/python tests/check_wheel.py

bench: $(SETUP)
	@$(BIN)/python -m benchmarks

.venv-oldest/.$(OLDEST):
	@echo "setting up .venv-oldest with onnxruntime $(OLDEST) ..."
	@$(PYTHON) -m venv --clear .venv-oldest
	@.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check numpy onnxruntime==$(OLDEST)
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
	rm -rf .venv .venv-oldest $(EXPORTS) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
