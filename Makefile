# Everything runs in .venv, made from constraints.txt: the exact versions that were tested together.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test soak check lint bench schema clean

help: ## What the targets do
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install mlxk with everything the tests need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "mlxk needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## List, check and run the bundled model
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/demo.sh

test: setup ## The whole offline suite
	$(BIN)/python -m pytest -n 3 --dist loadfile -q

soak: setup ## Kill long work many times (KILLS=200), try many bodies (EXAMPLES=500)
	MLXK_SOAK_KILLS=$(or $(KILLS),200) $(BIN)/python -m pytest -q tests/contract/crash
	MLXK_SOAK_EXAMPLES=$(or $(EXAMPLES),500) $(BIN)/python -m pytest -q tests/contract/server/test_openapi.py

lint: setup
	$(BIN)/ruff check src tests tools
	$(BIN)/ruff format --check src tests tools
	$(BIN)/mypy -p mlxk -p tests -p tools
	$(BIN)/lint-imports

check: lint test ## Lint, types, import contracts and tests, as CI runs them

bench: setup ## Measure, as ratios within one run
	$(BIN)/python -m tools.bench

schema: setup ## Write the published JSON Schemas to docs/schema/
	$(BIN)/python -m tools.write_schemas docs/schema

clean: ## Remove .venv, caches and build output
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache .hypothesis .bench
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
