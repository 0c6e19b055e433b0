# Two commands matter: `make up` runs Blotter, `make test` runs its tests. The rest is for people who change it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: up test quick durations setup lock lint check wheel benchmark mutants clean

up: $(VENV)/.runs
	@exec $(BIN)/blotter up $(ARGS)

# Three processes on two cores: much of what they do is waiting, for servers that start and for time to pass. Each
# gets a part of the tests in their order, so that what a file shares is made once, and takes from the others' parts
# when it has finished its own.
PYTEST := $(BIN)/pytest -n 3 --dist worksteal
test: $(VENV)/.tests
	$(PYTEST) $(ARGS)

# Less than a minute, for use between two edits: unit tests and golden scripts without the longest files, as
# tests/cpu_seconds.py chooses from what each file took when it was last measured.
QUICK := tests/unit tests/test_scripts.py
quick: $(VENV)/.tests
	$(PYTEST) --quick $(QUICK) $(ARGS)

durations: $(VENV)/.tests
	$(BIN)/pytest --record-cpu-seconds $(QUICK)

setup: $(VENV)/.tests

# Writes requirements/ from pyproject.toml's ranges: what is pinned stays, what is new is added. With ARGS=--upgrade
# everything becomes the newest; after that of botocore, scripts/compile_service_model.py has to run as well.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --custom-compile-command "make lock" --group build $(ARGS)
lock: $(VENV)/.tests
	$(COMPILE) pyproject.toml --extra crimes --extra dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra crimes --extra aws -c requirements/dev.txt -o requirements/run.txt

lint: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: $(VENV)/.tests
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs a C compiler. Without --wheel it is built from a copy, the unpacked source distribution: in the checkout,
# mypyc's hook would rename pyproject.toml meanwhile and leave compiled modules beside the source.
wheel: $(VENV)/.tests
	HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(BIN)/python -m build --outdir dist .

benchmark: $(VENV)/.tests
	$(BIN)/python -m benchmarks $(ARGS)

mutants: $(VENV)/.tests
	nice $(BIN)/python -m benchmarks.mutants $(ARGS)

clean:
	rm -rf $(VENV) build dist test-output

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Blotter needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check

$(VENV)/.runs: $(BIN)/python pyproject.toml requirements/run.txt
	@echo "Setting up $(VENV) (once; about a minute)…"
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@sh scripts/system_packages.sh run $(BIN)/python
	@touch $@

$(VENV)/.tests: $(BIN)/python pyproject.toml requirements/dev.txt
	@echo "Setting up $(VENV) for tests (once; about two minutes)…"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@sh scripts/system_packages.sh test $(BIN)/python
	@touch $@ $(VENV)/.runs
