# What README, CI and people run. Every target works in a fresh clone: the virtual environment is made on demand.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
QUICKSTART_RESULTS ?= quickstart-results
# AWQ and GPTQ have an environment of their own, with every other kind of quantised weights too.
QUANTIZED_VENV ?= .venv-quantized
QUANTIZED_TESTS := tests/quantized tests/unit/models tests/unit/initialization \
	tests/unit/training/test_quantised_training.py

.PHONY: quickstart test test-quantized check lint types layers site format docs clean

quickstart: $(VENV)/.installed ## Install, then run the embedded sweep: offline, a few minutes on a laptop
	HF_HUB_OFFLINE=1 $(BIN)/sft run-experiments etc/quickstart/quickstart.jsonnet --results-path $(QUICKSTART_RESULTS)

test: $(VENV)/.installed-dev ## Install, then run the tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

test-quantized: ## Install GPTQModel too (built from source: minutes), then run the tests of quantised weights
	$(MAKE) VENV=$(QUANTIZED_VENV) $(QUANTIZED_VENV)/.installed-gptq
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(QUANTIZED_VENV)/bin/python -m pytest -n auto --dist worksteal $(QUANTIZED_TESTS) $(PYTEST_ARGS)

check: lint types layers site ## Everything that reads the code without running it

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

site: $(VENV)/.installed-dev ## Build the documentation into ./site: offline, and broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs: $(VENV)/.installed ## Write what is generated from the code; a test fails while it is stale
	$(BIN)/python -m docs.tools.benchmarks > docs/benchmarks.md
	$(BIN)/python -m docs.pictures.draw
	$(BIN)/python -m sft.config.reference > docs/configuration.md
	$(BIN)/python -m sft.cli.reference > docs/cli.md

clean:
	rm -rf $(VENV) $(QUANTIZED_VENV) $(QUICKSTART_RESULTS) site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone: resolving it together with the rest could pull in another build.
$(VENV)/.installed: $(VENV)/bin/python requirements.txt pyproject.toml
	$(BIN)/python -m pip install --quiet $(shell grep '^torch==' requirements.txt)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed dev_requirements.txt
	$(BIN)/python -m pip install --quiet -r dev_requirements.txt
	touch $@

$(VENV)/.installed-gptq: $(VENV)/.installed-dev quantized_requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -r quantized_requirements.txt
	touch $@
