# `make demo` and `make test` set everything up themselves; a second run skips what is done.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-all lint docs bench page clean

demo: $(VENV)/.demo
	$(BIN)/softgrad demo

# Work is stolen, not dealt out: two workers seldom compile the same kernel.
test: $(VENV)/.test lint web/node_modules
	$(BIN)/python -m pytest -n auto --dist worksteal
	$(BIN)/python -m pytest --doctest-modules src/softgrad -p no:cacheprovider -q

test-all: $(VENV)/.test lint web/node_modules
	$(BIN)/python -m pytest -n auto --dist worksteal -m "slow or not slow"
	$(BIN)/python -m pytest --doctest-modules src/softgrad -p no:cacheprovider -q

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.training

page: web/node_modules
	cd web && npm run build

clean:
	rm -rf $(VENV) docs/_build build dist web/node_modules web/build

# The page's tools. The page itself is in the repository: tests that build it anew are skipped without.
web/node_modules: web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel=error && touch node_modules || echo "the explorer page cannot be built here: npm is missing, or its registry is out of reach"

$(VENV)/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "softgrad needs Python 3.11 or newer: $(PYTHON) was not found; try 'make PYTHON=/path/to/python3.11'"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "softgrad needs Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V 2>&1); try 'make PYTHON=/path/to/python3.11'"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "softgrad needs Python's venv module: install your system's python3-venv package"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras: `.demo` installs the extra `learn`, `.test` the extra `test`, and so on.
$(VENV)/.demo: EXTRA := learn
$(VENV)/.test: EXTRA := test
$(VENV)/.docs: EXTRA := docs
$(VENV)/.%: $(VENV)/bin/pip pyproject.toml constraints.txt
	@echo "installing softgrad[$(EXTRA)] into $(VENV) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[$(EXTRA)]" || { echo "softgrad could not install its dependencies: see pip's message above (is PyPI reachable?)"; exit 1; }
	@touch $@
