# Rapport. `make demo` shows the whole of it; `make test` proves it. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Python keeps what it compiled, also where the environment forbids it: everything here starts Python often.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint format check bench-features bench-models bench-decisions bench-campaigns bench-ingest bench-training crash-test mlflow clean

help:            ## what there is to make
	@grep -E '^[a-z-]+: *.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 22

setup: $(READY)  ## creates .venv with every pinned package

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || \
		{ echo "Rapport needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages into $(VENV) (about a minute the first time) ..."
	@# A current pip installs this set twice as fast; without --compile only what is imported gets compiled.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=26'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)   ## simulates a brand, trains, serves and proves itself (ONCE=1 stops after printing)
	@$(BIN)/rapport demo $(if $(ONCE),--once)

test: lint       ## lint, then every test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: $(READY)   ## ruff, mypy strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## rewrites the code as ruff formats it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-features: $(READY)      ## 12 weekly snapshots of 10 million events, beside DuckDB by hand, polars and pandas
	$(BIN)/python -m experiments.benchmarks.features

bench-models: $(READY)        ## next purchase, response and segments, each beside what you would pick instead (TASK=one of them)
	$(BIN)/python -m experiments.benchmarks.models $(TASK)

bench-decisions: $(READY)     ## requests a second, beside a no-op and the naive pipeline
	$(BIN)/python -m experiments.benchmarks.decisions

bench-campaigns: $(READY)     ## a campaign's decisions, beside the same asked one by one
	$(BIN)/python -m experiments.benchmarks.campaigns

bench-training: $(READY)      ## the whole training job beside lightgbm.train, on a million rows of 60 features
	$(BIN)/python -m experiments.benchmarks.training

bench-ingest: $(READY)        ## durable events a second with 10 million stored, and how soon a decision knows of one
	$(BIN)/python -m experiments.benchmarks.ingest

crash-test: $(READY)          ## kills the server (-9) fifty times under load, then counts what was acknowledged
	$(BIN)/python -m tests.journeys.crash_loop --kills 50

mlflow: $(READY) ## the training runs in a browser, on loopback
	$(BIN)/mlflow server --host 127.0.0.1 --backend-store-uri sqlite:///$(or $(WORKSPACE),workspace)/state/mlflow.db

clean:           ## removes the environment and the demo's workspace
	rm -rf $(VENV) demo build dist *.egg-info
