# Needs: Python >= 3.11 and make; Go >= 1.26 for the real control plane of demo, integration tests and bench.
# npm, where it is there, gets the browser of one test.
# Each target sets up what it needs in .venv by itself; a second run starts at once.
.POSIX:

UV_VERSION = 0.13.8
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.synced-with-lock
PYTHON =
ONCE =
TIER =
BENCH =
CODE = kro_es tests migrations
PYTEST_ARGS =

help:
	@echo 'make demo             a control plane, the controller and an example, live; ONCE=1 ends by itself'
	@echo 'make test             every test; TIER=unit (or property, contract, integration ...) runs one folder of tests/'
	@echo 'make check            ruff, formatting, mypy, import contracts, lock file up to date'
	@echo 'make bench            benchmarks, results in .bench/; BENCH=name runs one'
	@echo 'make format           rewrites the code in the project format'
	@echo 'make schemas          the schemas of built-in kinds that kro-es validate uses, from a real API server'
	@echo 'make setup            only the virtual environment; PYTHON=/path/to/python picks the interpreter'
	@echo 'make clean            removes the virtual environment, caches and results'

setup: $(STAMP)

$(STAMP): uv.lock pyproject.toml
	@found=; \
	for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'kro-es needs Python 3.11 or newer and found none; install one or say where it is: make setup PYTHON=/path/to/python3' >&2; \
	  exit 1; \
	fi; \
	if ! "$(BIN)/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "setup: creating $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear "$(VENV)" || exit 1; \
	fi; \
	if [ "$$("$(BIN)/python" -c 'from importlib.metadata import version; print(version("uv"))' 2>/dev/null)" != "$(UV_VERSION)" ]; then \
	  echo 'setup: installing uv $(UV_VERSION) into $(VENV)'; \
	  "$(BIN)/python" -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)' || exit 1; \
	fi; \
	echo 'setup: installing what uv.lock names'; \
	UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT="$(VENV)" "$(BIN)/uv" sync --locked --compile-bytecode --quiet || exit 1; \
	touch "$@"

demo: $(STAMP)
	@ONCE='$(ONCE)' '$(BIN)/python' -m tests.support.demo

test: $(STAMP)
	@echo 'test: tests/$(TIER)'
	@'$(BIN)/python' -m pytest 'tests/$(TIER)' $(PYTEST_ARGS)

check: $(STAMP)
	@echo 'check: ruff'
	@'$(BIN)/ruff' check $(CODE)
	@echo 'check: formatting'
	@'$(BIN)/ruff' format --check $(CODE)
	@echo 'check: mypy'
	@'$(BIN)/mypy'
	@echo 'check: import contracts'
	@'$(BIN)/lint-imports'
	@echo 'check: lock file'
	@UV_PYTHON_DOWNLOADS=never '$(BIN)/uv' lock --check

format: $(STAMP)
	@'$(BIN)/ruff' check --fix $(CODE)
	@'$(BIN)/ruff' format $(CODE)

bench: $(STAMP)
	@'$(BIN)/python' -m tests.benchmarks $(BENCH)

schemas: $(STAMP)
	@'$(BIN)/python' -m tests.support.schemas

clean:
	rm -rf $(VENV) .bench .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find kro_es tests migrations -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help setup demo test check format bench schemas clean
