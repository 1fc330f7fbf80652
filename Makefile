# The commands of the project. `make` alone lists them; settings are in .env and can be given on the line:
#   make up WAY=native PROMETHEUS_PORT=9191
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STATE := $(or $(STACK_STATE),.state)
PYTHON := $(STATE)/venv/bin/python
HARNESS := $(PYTHON) -m harness
PYTEST := $(PYTHON) -m pytest

# A Python of one's own choice for the virtual environment: make venv BASE_PYTHON=python3.13
export BASE_PYTHON

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Running

.PHONY: up down status logs urls observe load break heal clean standins-clean secrets doctor
up: venv ## start the stack and wait until it is healthy (WAY=native|stand-ins|images PROFILES=gateway,flower,traces)
	@$(HARNESS) up
down: venv ## end the stack; its data stays
	@$(HARNESS) down
status: venv ## say of every part whether it is healthy
	@$(HARNESS) status
logs: venv ## the last lines of every part (SERVICE=worker LINES=50)
	@$(HARNESS) logs
urls: venv ## the addresses of the running stack
	@$(HARNESS) urls
observe: venv ## only the observing half, against a broker of your own (BROKER_URL=redis://host:6379/0 QUEUES=a,b)
	@$(HARNESS) observe
load: venv ## change the load of the running stack (LOAD_RATE=20 LOAD_SHAPE=burst)
	@$(HARNESS) load
break: venv ## break the running stack on purpose (FAULT=backlog ...); without FAULT: list what can be broken
	@$(HARNESS) break
heal: venv ## mend what `make break` broke (all of it, or FAULT=name)
	@$(HARNESS) heal
clean: venv ## end the stack and delete its data and the evidence of failed tests
	@$(HARNESS) clean
standins-clean: venv ## remove the local stand-ins of official images from the engine
	@$(PYTHON) -m harness.standins clean
secrets: venv ## make the passwords that are not there yet
	@$(HARNESS) secrets
doctor: venv ## say what this machine can run and what it lacks
	@$(HARNESS) doctor

# Proving

.PHONY: test test-unit test-rules test-native test-compose test-fleets lint mutate
test: venv ## everything: unit tests, rules, and the alerts proven end to end in every way this machine can
	@$(PYTHON) -m harness.testrun
test-unit: venv ## the unit tests (ARGS='-k name')
	@$(PYTEST) -n 2 tests/unit $(ARGS)
test-rules: venv ## promtool's and amtool's checks of the configuration and the rules
	@$(PYTHON) -m harness.checks
test-native: venv ## the end-to-end tests on plain processes (ARGS='-k backlog')
	@$(PYTEST) tests/integration --way native $(ARGS)
test-compose: venv ## the end-to-end tests on containers (ARGS='-k backlog')
	@$(PYTEST) tests/integration --way compose $(ARGS)
test-fleets: venv ## other brokers, pools and Celery versions under the exporter
	@$(PYTEST) tests/fleets $(ARGS)
lint: venv ## ruff, mypy and yamllint
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy && $(PYTHON) -m yamllint --strict .
mutate: venv ## change every rule in every single way and ask the rule tests to notice
	@$(PYTHON) -m tests.mutation $(ARGS)

# Measuring

.PHONY: bench bench-exporter bench-detection bench-rules bench-overhead
bench: venv ## count tasks through the death of workers and of Redis: as many finish as were published
	@$(PYTHON) -m tests.bench.account $(ARGS)
bench-exporter: venv ## the exporter beside the published one
	@$(PYTHON) -m tests.bench.exporter $(ARGS)
bench-detection: venv ## how soon and how loudly simulated incidents are told
	@$(PYTHON) -m tests.bench.detection $(ARGS)
bench-rules: venv ## what the rules cost Prometheus with a large fleet
	@$(PYTHON) -m tests.bench.rules $(ARGS)
bench-overhead: venv ## what the instrumentation costs a task
	@$(PYTHON) -m tests.bench.overhead $(ARGS)

# Keeping

.PHONY: venv lock dashboards
venv: ## the virtual environment in .state/venv, made anew when the lock file changed
	@harness/venv.sh
lock: venv ## write the lock files from pyproject.toml (ARGS=--upgrade)
	@PATH="$(abspath $(STATE)/venv/bin):$$PATH" requirements/lock.sh $(ARGS)
dashboards: venv ## write the dashboards' JSON from grafana/*.py
	@$(PYTHON) -m grafana
