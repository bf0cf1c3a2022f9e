# `make setup` builds .venv with all programs; demo, test and bench call it. `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup tools generate check test unit lab demo bench clean

help:
	@echo "make setup   .venv with covey, covey-helper, covey-server, covey-lab"
	@echo "make demo    two machines behind two NATs meet, live"
	@echo "make test    every test, the lab included (root)"
	@echo "make unit    only what needs no root"
	@echo "make lab     only the network laboratory (root)"
	@echo "make bench   measure, compare, write build/bench.json; ONLY=name,... for a part"
	@echo "make check   ruff, mypy for three systems, import-linter"

setup: .venv/ready .venv/generated

.venv/ready: requirements.lock pyproject.toml
	@installers/linux/prerequisites.sh python
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

.venv/generated: .venv/ready protocol/management.proto protocol/signalexchange.proto
	$(BIN)/python -m protocol.generate
	@touch $@

generate:
	$(BIN)/python -m protocol.generate

tools:
	@installers/linux/prerequisites.sh lab

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n auto -m "not lab"

lab: setup tools
	$(BIN)/pytest -m lab tests/lab

test: setup tools check unit lab

demo: setup tools
	$(BIN)/covey-lab demo

bench: setup tools
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

clean:
	rm -rf .venv build protocol/generated *.egg-info
