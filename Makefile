# Two commands do everything: `make run` and `make test`. Both set up what they need; a second call finds it done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Makes the command `pipecall` of this very folder; what it builds with is pinned like the rest.
COMMAND := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

.DEFAULT_GOAL := help
.PHONY: help run once doctor test lint bench lock clean

help:  ## Show what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements.lock | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(COMMAND)
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements.lock | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(COMMAND)
	@touch $@ $(VENV)/.run

run: $(VENV)/.run  ## Start the scheduler on pipelines.yml (Ctrl-C stops it)
	@exec $(BIN)/python main_scheduler.py

once: $(VENV)/.run  ## Run every pipeline once, then exit
	@exec $(BIN)/python main.py

doctor: $(VENV)/.run  ## Check the Discord bot: token, application, servers, channels
	@exec $(BIN)/python -m bot doctor

test: $(VENV)/.dev  ## Run all tests
	$(BIN)/python -m pytest -q -n 3 --dist loadgroup

lint: $(VENV)/.dev  ## Check format, lint rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## Measure speed and memory side by side with peers
	$(BIN)/python -m benchmarks

lock:  ## Pin the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra distributed --extra redis --constraint requirements-dev.lock pyproject.toml -o requirements-distributed.lock

clean:  ## Remove what the other targets made, but no data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
