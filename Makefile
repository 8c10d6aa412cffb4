# backbeat: `make` alone prints this help. Everything lives in .venv; nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# a strict editable install links each file, so a new file needs a new link: directories change when files come or go
TREE := $(shell find canvas scheduler -type d -not -name __pycache__)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EDITABLE := --config-settings editable_mode=strict
# the tests start hundreds of processes: where nothing may be kept of what is compiled, each of them would compile everything anew
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run setup test test-all lint types format bench soak chaos crashes kills figures oracle fuzz clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## Beat, one worker and the sample schedules on SQLite; ARGS="--for 30s" ends by itself
	@$(BIN)/backbeat -A examples.sample dev $(ARGS)

setup: $(VENV)/.test ## The environment for tests and development

test: $(VENV)/.test lint types ## All checks and tests, in a quarter of an hour
	$(BIN)/python tests/lanes.py --short $(ARGS)

test-all: $(VENV)/.test lint types ## What takes longer, too: every test on every kind of broker, store and pool, the flow harness with 4,000 canvases a setting, every kill point, Celery 5.4 to 5.6, the units in systemd-nspawn (as root)
	BACKBEAT_NSPAWN=1 BACKBEAT_KILL_MATRIX=all BACKBEAT_CRASH_PAIRS=3000 BACKBEAT_AUDIT_SEEDS=60 BACKBEAT_HARNESS=4000 BACKBEAT_ENDINGS=4 BACKBEAT_RACES=1000 BACKBEAT_SWEEPS=1 BACKBEAT_STACKS=all BACKBEAT_SIMULATION=1 BACKBEAT_KILLS=20 $(BIN)/python tests/lanes.py --hypothesis-profile=default $(ARGS)
	$(BIN)/python tests/celery_versions.py $(ARGS)

lint: $(VENV)/.test ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test ## mypy --strict over the installed package
	$(BIN)/mypy -p backbeat.canvas -p backbeat.scheduler

format: $(VENV)/.test ## Let ruff format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

figures: $(VENV)/.test ## Write what the last benchmarks, the last chaos and the last kills gave into docs/
	$(BIN)/python -m bench figures

oracle: $(VENV)/.test ## Every zone, every clock change from 1970 to 2037, fifty expressions, against a walk over real minutes; some minutes
	BACKBEAT_ORACLE=all $(BIN)/python -m pytest -s --timeout 7200 tests/unit/scheduler/test_cron_oracle_zones.py tests/unit/scheduler/test_cron_cronsim.py $(ARGS)

bench: $(VENV)/.test ## Side by side with Celery and other schedulers; ARGS="p1 p2" names some; medians and ratios, kept in var/bench
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/.test ## A million tasks through one worker and 100,000 results through one client, whose memory stays flat; some minutes
	BACKBEAT_SOAK=1000000 $(BIN)/python -m pytest -s tests/acceptance/canvas/test_soak.py $(ARGS)

chaos: $(VENV)/.test ## Beats under fire, then workers, over all stores and brokers, in an hour; ARGS="workers --seed 1 --only redis" (ARGS=--help says more)
	PYTHONPATH=tests $(BIN)/python -m chaos $(ARGS)

crashes: $(VENV)/.test ## The loop ended before and after each effect and at every pair of them; a quarter of an hour
	BACKBEAT_CRASH_PAIRS=all $(BIN)/python -m pytest --timeout 86400 tests/integration/test_crash_points.py $(ARGS)

kills: $(VENV)/.test ## Workers, senders and children killed at every point that the code names; a quarter of an hour
	BACKBEAT_KILL_MATRIX=all $(BIN)/python -m pytest tests/acceptance/canvas/test_kill_points.py $(ARGS)

fuzz: $(VENV)/.test ## 100,000 random canvases against the evaluator, eagerly, in memory and on servers, then each ending at each place of each tree of up to six tasks; half an hour
	$(BIN)/python tests/fuzz.py $(ARGS)
	BACKBEAT_ENDINGS=6 $(BIN)/python -m pytest tests/conformance/test_every_ending.py

clean: ## Forget the environment and all that was made
	rm -rf $(VENV) .venv-* .cache build dist var *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "backbeat needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml $(TREE) | $(BIN)/python
	$(PIP) install $(EDITABLE) -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(TREE) | $(BIN)/python
	$(PIP) install $(EDITABLE) -e '.[test]'
	@touch $@ $(VENV)/.run
