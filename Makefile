# Everything a newcomer needs: `make run`, `make demo`, `make test`. `make help` lists all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install run demo test test-browser test-edge lint format messages bench chaos fuzz load lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock
	@echo "Installing into $(VENV) (once) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

install: $(STAMP) ## install the packages into .venv

run: $(STAMP) ## start everything; PORT (8000), GATEWAY_DATA (var/)
	@exec $(BIN)/python manage.py run

demo: $(STAMP) ## the whole job in one go on a throw-away data folder; FEED=dir for your own files
	@exec $(BIN)/python manage.py demo $(if $(FEED),--feed "$(FEED)")

test: $(STAMP) ## all tests on real PostgreSQL and Redis
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest tests/chaos
endif

test-browser: $(STAMP) ## the console in Chromium against a real gateway; screenshots in var/screenshots
	@$(BIN)/python -m pytest tests/browser $(ARGS)

lint: $(STAMP) ## ruff, mypy, Django's checks, bandit; pip-audit where there is a network
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django check --fail-level WARNING
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive manage.py gateway ocpi tenants
	@BIN=$(BIN) .ci/audit

format: $(STAMP) ## let ruff lay out and sort
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

messages: $(STAMP) ## gather the texts of the console into locale/nl, and compile what is translated (needs gettext)
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django makemessages --locale nl --no-location --no-obsolete --no-wrap \
		--ignore .venv --ignore tests --ignore static --ignore var
	@$(BIN)/python -m django compilemessages --locale nl --ignore .venv

bench: $(STAMP) ## every benchmark, one table; FEED=folder pulls its locations.ndjson; ARGS=pull for one
	@$(BIN)/python -m tests.benchmarks $(ARGS)

chaos: $(STAMP) ## kill and freeze everything under load, table of promises; ARGS="--scale 0.1", ARGS=--mutants
	@$(BIN)/python -m tests.chaos $(ARGS)

load: $(STAMP) ## the Netherlands for a quarter of an hour, a table of what it takes; ARGS="--sizes 0.2 1 5" for less and more data
	@$(BIN)/python -m tests.load $(ARGS)

fuzz: $(STAMP) ## 100,000 generated requests, 10,000 attempts at another's data, the door's promises; ARGS="--requests 20000 --seed 1" DOOR="--scale 0.01"
	@$(BIN)/python -m tests.fuzz $(ARGS)
	@ATTEMPTS=10000 $(BIN)/python -m pytest -q tests/test_isolation_matrix.py
	@$(BIN)/python -m tests.door $(DOOR)

test-edge: $(STAMP) ## odd framing and slow clients through nginx, everything through PgBouncer (Debian: nginx-light, pgbouncer)
	@$(BIN)/python -m pytest tests/edge

lock: ## make requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--all-extras --python-version 3.11 pyproject.toml -o requirements.lock
