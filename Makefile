# `make setup` builds .venv with all programs; demo, test and bench call it. `make help` lists the rest.
BIN := .venv/bin
PREREQUISITES := sh installers/linux/prerequisites.sh
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
PROTOS := protocol/management.proto protocol/signalexchange.proto
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help setup tools generate check test unit lab demo bench soak lab-kernel clean
.DELETE_ON_ERROR:

help:
	@echo "make setup   .venv with covey, covey-helper, covey-server, covey-lab; PYTHON=... chooses the interpreter"
	@echo "make demo    two machines behind two NATs meet, live"
	@echo "make test    every test, the lab included (root)"
	@echo "make unit    only what needs no root"
	@echo "make lab     only the network laboratory (root); ONLY=... is pytest's -k"
	@echo "make bench   measure, compare, write build/bench.json (root); ONLY=name,... for a part, PEERS=20,100 for idle"
	@echo "make soak    30 minutes under random faults (root); MINUTES=, SEED=, PEERS= choose others"
	@echo "make lab-kernel  a part of the lab with WireGuard in the kernel, in a kernel of its own; ONLY= as above, or BENCH=name,..."
	@echo "                 MACHINE=kvm, uml or emulated; without it whichever this machine runs best"
	@echo "make check   ruff, mypy for three systems, import-linter"

setup: .venv/ready .venv/generated

.venv/ready: requirements.lock pyproject.toml
	@python=$$($(PREREQUISITES) python) && echo "setting up .venv with $$python" && "$$python" -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --config-settings editable_mode=compat -e .
	@touch $@

.venv/generated: .venv/ready $(PROTOS) protocol/generate.py
	@$(BIN)/python -m protocol.generate
	@touch $@

generate: .venv/ready
	$(BIN)/python -m protocol.generate

tools:
	@$(PREREQUISITES) lab
	@$(PREREQUISITES) desktop

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --platform linux --cache-dir .mypy_cache/linux
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy --platform linux --cache-dir .mypy_cache/linux -p tests.unit.helper.engine -p tests.soak -p tests.bench
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -q -n auto -m "not lab"

lab: setup tools
	$(AS_ROOT) $(BIN)/pytest -q -m lab $(if $(ONLY),-k "$(ONLY)") tests

test: setup tools check unit lab

demo: setup tools
	@$(BIN)/covey-lab demo

bench: setup tools
	@$(AS_ROOT) env $(if $(PEERS),PEERS=$(PEERS)) $(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY))

soak: setup tools
	@$(AS_ROOT) $(BIN)/python -m tests.soak --minutes $(or $(MINUTES),30) --peers $(or $(PEERS),6) $(if $(SEED),--seed $(SEED))

lab-kernel: IN := $(if $(MACHINE),--machine $(MACHINE))
lab-kernel: setup tools
	@$(PREREQUISITES) $$($(AS_ROOT) $(BIN)/python -m tests.lab.kernel $(IN) --needs)
	@$(AS_ROOT) $(BIN)/python -m tests.lab.kernel $(IN) $(if $(BENCH),--bench $(BENCH)) $(if $(ONLY),--only "$(ONLY)")

clean:
	rm -rf .venv build protocol/generated *.egg-info
