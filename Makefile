PYTHON ?= python3

VENV := .venv
VENV_453 := .venv-4.53
BIN := $(VENV)/bin

# Tests use the bundled checkpoint and tiny ones that they build themselves.
# Two at a time, each with one thread.
TEST_ENV := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
PYTEST_ARGS ?= --numprocesses 2 --quiet
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest $(PYTEST_ARGS)
PYTEST_453 := $(TEST_ENV) $(VENV_453)/bin/python -m pytest $(PYTEST_ARGS)
COMPONENT_TESTS := $(addprefix tests/test_, chaining.py pipeline.py serialize.py spans.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-corpora test-engines test-gpu test-transformers-4.53 screenshot lint format wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "%-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Find the entities of examples/, write demo.html
	HF_HUB_OFFLINE=1 $(BIN)/python scripts/demo.py

test: $(VENV)/.installed ## Run the tests, without the slow ones
	$(PYTEST)

test-slow: $(VENV)/.installed ## Run the slow tests
	$(PYTEST) -m "slow and not corpora"

test-corpora: $(VENV)/.installed ## Run the tests that need the benchmark corpora
	$(PYTEST) -m corpora

test-engines: $(VENV)/.installed ## Run the component's tests with the other engines
	OPENMED_TEST_ENGINE=openvino $(PYTEST) $(COMPONENT_TESTS)
	OPENMED_TEST_ENGINE=onnx $(PYTEST) $(COMPONENT_TESTS)

test-gpu: $(VENV)/.installed ## Run the component's tests on a GPU (CUDA)
	OPENMED_TEST_DEVICE=cuda $(PYTEST) $(COMPONENT_TESTS) tests/test_gpu.py

test-transformers-4.53: $(VENV_453)/.installed ## Run the tests with transformers 4.53 and spacy-transformers
	$(PYTEST_453)

screenshot: $(VENV)/.installed ## Make docs/app.png anew, with Chromium
	OPENMED_SCREENSHOT=docs/app.png $(PYTEST) -m slow tests/test_app.py -k entities_of_a_note

lint: $(VENV)/.installed ## Check format, style and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/.installed ## Fix format and style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(VENV)/.installed ## Build the wheel into dist/
	rm -rf build
	$(BIN)/python -m build --wheel

clean: ## Remove environments, builds and caches
	rm -rf $(VENV) $(VENV_453) build dist *.egg-info demo.html
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: setup.cfg constraints/dev.txt constraints/no-deps.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints/dev.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps --requirement constraints/no-deps.txt
	@touch $@

$(VENV_453)/.installed: setup.cfg constraints/transformers-4.53.txt
	$(PYTHON) -m venv $(VENV_453)
	$(VENV_453)/bin/pip install --quiet --constraint constraints/transformers-4.53.txt \
		--editable ".[benchmarks,test,transformers]"
	@touch $@
