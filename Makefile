# Two commands matter: `make up` runs Blotter, `make test` proves it. The rest is for people who change it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: up test setup lint check wheel benchmark clean

up: $(VENV)/.runs
	@exec $(BIN)/blotter up

test: $(VENV)/.tests
	$(BIN)/pytest -n 2 $(ARGS)

setup: $(VENV)/.tests

lint: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: $(VENV)/.tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs a C compiler; built from a copy, so that the checkout goes on running its source.
wheel: $(VENV)/.tests
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(BIN)/python -m build --outdir dist .

benchmark: $(VENV)/.tests
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist test-output

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Blotter needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: $(BIN)/python pyproject.toml
	@echo "Setting up $(VENV) (once; about a minute)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[crimes,aws]'
	@sh scripts/system_packages.sh run $(BIN)/python
	@touch $@

$(VENV)/.tests: $(BIN)/python pyproject.toml
	@echo "Setting up $(VENV) for tests (once; about two minutes)…"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[crimes,dev]'
	@sh scripts/system_packages.sh test $(BIN)/python
	@touch $@ $(VENV)/.runs
