PYTHON ?= python3

# Environments: the tests and development tools, the core alone, an older transformers, the oldest versions that
# setup.cfg promises, the tools for a release and for the manual, and the wheel alone.
VENV := .venv
VENV_DEMO := .venv-demo
VENV_453 := .venv-4.53
VENV_OLDEST := .venv-oldest
VENV_RELEASE := .venv-release
VENV_DOCS := .venv-docs
VENV_WHEEL := .venv-wheel
BIN := $(VENV)/bin

# Pinned versions of the development environment; /dev/null for the newest that pip finds.
CONSTRAINTS ?= constraints/dev.txt

# Where to get PyTorch, if not from pip's index. Without a GPU the CPU build is much smaller:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

# Tests use the bundled checkpoint and tiny ones that they build themselves.
# Two at a time, each with one thread.
TEST_ENV := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
PYTEST_ARGS ?= --numprocesses 2 --quiet
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest $(PYTEST_ARGS)
PYTEST_453 := $(TEST_ENV) $(VENV_453)/bin/python -m pytest $(PYTEST_ARGS)
COMPONENT_TESTS := $(addprefix tests/test_, chaining.py pipeline.py serialize.py spans.py)

# What PyTorch, oneDNN and MKL see of the processor: no AVX-512, AMX or bf16.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
PROCESSOR_TESTS := $(addprefix tests/test_, checkpoint.py engine.py engines.py parity.py serialize.py training.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-avx2 test-slow test-corpora test-engines test-gpu \
	test-transformers-4.53 test-oldest coverage audit docs screenshots lint format wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / {printf "%-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV_DEMO)/.installed ## Find the entities of the texts in examples/, write demo.html
	@HF_HUB_OFFLINE=1 $(VENV_DEMO)/bin/python scripts/demo.py

test: $(VENV)/.installed ## Run the tests, without the slow ones
	$(PYTEST)

test-avx2: $(VENV)/.installed ## Run the engines' tests as on a processor without AVX-512
	$(AVX2) $(PYTEST) $(PROCESSOR_TESTS)

test-slow: $(VENV)/.installed-dev ## Run the slow tests
	$(PYTEST) -m "slow and not corpora"

test-corpora: $(VENV)/.installed-dev ## Run the tests that need the benchmark corpora
	$(PYTEST) -m corpora

test-engines: $(VENV)/.installed ## Run the component's tests with the other engines
	OPENMED_TEST_ENGINE=openvino $(PYTEST) $(COMPONENT_TESTS)
	OPENMED_TEST_ENGINE=onnx $(PYTEST) $(COMPONENT_TESTS)

test-gpu: $(VENV)/.installed ## Run the component's tests on a GPU (CUDA)
	OPENMED_TEST_DEVICE=cuda $(PYTEST) $(COMPONENT_TESTS) tests/test_gpu.py

test-transformers-4.53: $(VENV_453)/.installed ## Run the tests with transformers 4.53 and spacy-transformers
	$(PYTEST_453)

test-oldest: $(VENV_OLDEST)/.installed ## Run the tests with the oldest versions that setup.cfg promises
	$(TEST_ENV) $(VENV_OLDEST)/bin/python -m pytest $(PYTEST_ARGS)

coverage: $(VENV)/.installed-dev ## Run the tests and say which lines they miss
	$(PYTEST) --cov --cov-report=term:skip-covered

audit: $(VENV_RELEASE)/.installed ## Look for known vulnerabilities in the pinned versions
	$(VENV_RELEASE)/bin/pip-audit --requirement constraints/dev.txt --no-deps --disable-pip --strict

screenshots: $(VENV)/.installed-dev ## Make docs/images anew, with Chromium
	HF_HUB_OFFLINE=1 $(BIN)/python scripts/screenshots.py

docs: $(VENV_DOCS)/.installed ## Build the manual into site/, fail on broken links
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build --strict --clean

lint: $(VENV)/.installed-dev ## Check format, style, types, generated pages and the notes corpus
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python scripts/make_reference.py --check
	$(BIN)/python scripts/render_results.py --check
	$(BIN)/python scripts/notes_corpus.py check

format: $(VENV)/.installed-dev ## Fix format and style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The pipeline is built beside the wheel, in the environment that has the tools. Then a new environment gets both
# wheels, and runs them offline.
wheel: $(VENV)/.installed $(VENV_RELEASE)/.installed ## Build the wheel into dist/, check it in an empty environment
	rm -rf build dist $(VENV_WHEEL) packages/pretrained-disease
	$(VENV_RELEASE)/bin/python -m build --wheel
	$(VENV_RELEASE)/bin/twine check --strict dist/*
	mkdir -p training
	$(BIN)/python scripts/project.py assemble disease mini
	$(BIN)/python scripts/project.py package disease training/pretrained-disease packages/pretrained-disease
	$(call make-venv,$(VENV_WHEEL),constraints/dev.txt)
	$(VENV_WHEEL)/bin/pip install --quiet --constraint constraints/dev.txt dist/*.whl
	$(VENV_WHEEL)/bin/pip install --quiet --no-deps --no-index packages/pretrained-disease/*.whl
	HF_HUB_OFFLINE=1 $(VENV_WHEEL)/bin/python scripts/check_wheel.py README.md en_openmed_disease

clean: ## Remove environments, builds and caches
	rm -rf $(VENV) $(VENV_DEMO) $(VENV_453) $(VENV_OLDEST) $(VENV_RELEASE) $(VENV_DOCS) $(VENV_WHEEL)
	rm -rf build dist site *.egg-info demo.html
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call make-venv,ENVIRONMENT,CONSTRAINTS): an environment with PyTorch of TORCH_INDEX, if given
define make-venv
	@echo "Setting up $(1) once: minutes, most of them for the download."
	$(PYTHON) -m venv $(1)
	$(if $(TORCH_INDEX),$(1)/bin/pip install --quiet --no-deps --constraint $(2) --index-url $(TORCH_INDEX) torch)
endef

$(VENV_DEMO)/.installed: setup.cfg constraints/dev.txt
	$(call make-venv,$(VENV_DEMO),constraints/dev.txt)
	$(VENV_DEMO)/bin/pip install --quiet --no-compile --constraint constraints/dev.txt --editable .
	@touch $@

$(VENV)/.installed: setup.cfg $(CONSTRAINTS) constraints/no-deps.txt
	$(call make-venv,$(VENV),$(CONSTRAINTS))
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable ".[test,app,onnx,openvino]"
	$(BIN)/pip install --quiet --no-deps --requirement constraints/no-deps.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev]"
	@touch $@

$(VENV_453)/.installed: setup.cfg constraints/transformers-4.53.txt
	$(call make-venv,$(VENV_453),constraints/transformers-4.53.txt)
	$(VENV_453)/bin/pip install --quiet --constraint constraints/transformers-4.53.txt \
		--editable ".[benchmarks,test,transformers]"
	@touch $@

$(VENV_OLDEST)/.installed: setup.cfg constraints/oldest.txt
	$(call make-venv,$(VENV_OLDEST),constraints/oldest.txt)
	$(VENV_OLDEST)/bin/pip install --quiet --constraint constraints/oldest.txt --editable ".[test]"
	@touch $@

$(VENV_RELEASE)/.installed: setup.cfg constraints/release.txt
	$(PYTHON) -m venv $(VENV_RELEASE)
	$(VENV_RELEASE)/bin/pip install --quiet --constraint constraints/release.txt build pip-audit twine
	@touch $@

# No torch and no spaCy: the pages of the Python API are made from the sources.
$(VENV_DOCS)/.installed: constraints/docs.txt
	$(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/pip install --quiet --constraint constraints/docs.txt \
		mkdocs-material "mkdocstrings[python]" ruff
	@touch $@
