# Every target does all of its own set-up, from git, make, python3 (3.11 or newer), node and npm; `make test` also
# wants a Chromium, and installs Debian's where there is none.
# Environments are made from hash-locked requirements and are made anew when their lock changes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= $(shell scripts/python)
ARGS ?=
# Two files of tests at once: with three, some tests time out. They come in the order of tests/conftest.py, which begins
# with the slowest files, so that both processes are busy to the end.
TESTS := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Processor to build for: the template's default, whatever this machine has. Deploy with the same value.
ARCH ?= arm64

export SAM_CLI_TELEMETRY := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# An office is ten processes, and the tests start hundreds: compiling everything in each would cost minutes.
unexport PYTHONDONTWRITEBYTECODE
# The locks are complete and universal: pip has nothing to resolve, only to check.
PIP_INSTALL := -m pip install --quiet --no-deps --require-hashes --requirement

.DEFAULT_GOAL := help
.PHONY: help run demo test lint lint-code lint-template format build proof bench benchmark compare scale rehearsal describe dashboard pictures recording vendor lock environments clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: .venv/.run node_modules/.engine ## run the ticket office on this machine; ARGS="--port 8000 --data DIR"
	@exec .venv/bin/python -m local $(ARGS)

demo: .venv/.run node_modules/.engine ## show a sale at human speed in the browser, for two minutes; ARGS="--seconds 60"
	@exec .venv/bin/python -m examples.demo $(ARGS)

TESTED_IN := .venv/.dev .venv/.chromium .venv-sam/.sam .venv-lambda/.lambda .venv-emulator/.emulator \
  node_modules/.engine node_modules/.tools
test: $(TESTED_IN) ## run all tests; ARGS="-k oversell" chooses
	@.venv/bin/python -m pytest $(or $(ARGS),$(TESTS))

lint: lint-code lint-template ## check style, types and the template; with --jobs 2 at once

lint-code: .venv/.dev
	@.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo

lint-template: .venv-sam/.sam .venv-checkov/.checkov
	@.venv-sam/bin/cfn-lint template.yaml
	.venv-sam/bin/sam validate --lint
	.venv-checkov/bin/checkov

format: .venv/.dev ## format the code
	@.venv/bin/ruff check --fix --select I
	.venv/bin/ruff format

build: .venv/.run .venv-sam/.sam .venv-lambda/.lambda ## make what is deployed in .aws-sam/build; ARCH=arm64 or ARCH=x86_64
	@scripts/build --architecture $(ARCH)
	echo "Built for $(ARCH). Deploy it: docs/first-deployment.md"

proof: .venv/.dev node_modules/.engine ## search for broken promises, for up to an hour; ARGS="--seed 7" repeats a walk
	@.venv/bin/python -m proof --whole $(ARGS)

bench: .venv/.dev node_modules/.engine ## measure the office on this machine; ARGS="book --seconds 20" chooses
	@.venv/bin/python -m bench $(ARGS)

benchmark: .venv/.dev node_modules/.engine ## measure speed in five minutes, and write docs/benchmark.md
	@.venv/bin/python -m bench --rounds 3 --write $(ARGS)
	.venv/bin/python -m bench.report
	.venv/bin/python -m bench.charts

compare: .venv/.dev node_modules/.engine bench/baseline/node_modules/.baseline ## measure it beside Express on PostgreSQL in four minutes, and write docs/benchmark.md
	@scripts/postgres
	.venv/bin/python -m bench.compare --write $(ARGS)
	.venv/bin/python -m bench.report

scale: .venv/.dev ## simulate on-sales at AWS's limits, for 15 minutes, and write docs/scale.md; ARGS="joins turns" chooses
	@.venv/bin/python -m bench.scale --write $(ARGS)
	.venv/bin/python -m bench.report
	.venv/bin/python -m bench.charts

rehearsal: .venv/.dev ## let a crowd buy an event, and audit it; ARGS="--host http://127.0.0.1:3000 --local --buyers 500"
	@.venv/bin/python -m rehearsal $(ARGS)

describe: .venv/.dev ## write the API description into functions/describe/ from openapi/ and the models
	@.venv/bin/python -m openapi

dashboard: .venv/.dev node_modules/.engine ## draw docs/dashboard.png from three minutes of a local run
	@.venv/bin/python scripts/draw_dashboard.py

pictures: .venv/.dev .venv/.chromium node_modules/.engine node_modules/.tools ## draw docs/page-*.png and measure the page, from its tests
	@PICTURES=1 .venv/bin/python -m pytest tests/browser -k "last_ticket or held_paid or let_in or small or demo"

recording: .venv/.dev node_modules/.engine ## record scripts/record-session in a terminal as docs/recording.gif
	@.venv/bin/asciinema rec --overwrite --quiet --cols 100 --rows 26 --command scripts/record-session docs/recording.cast
	.venv/bin/agg --theme github-dark --font-size 14 --idle-time-limit 2 --last-frame-duration 6 \
	  docs/recording.cast docs/recording.gif

vendor: node_modules/.tools ## copy the page's libraries from node_modules to web/vendor, with their licences
	@scripts/vendor

lock: .venv/.dev ## resolve requirements/*.in and package.json anew
	@scripts/lock

environments: $(TESTED_IN) .venv-checkov/.checkov ## make what tests and linters need; with --jobs 4, at once

clean: ## remove what the other targets made, but not the data in .local
	@rm -rf .venv .venv-sam .venv-checkov .venv-lambda .venv-emulator node_modules .aws-sam .pytest_cache \
	  .mypy_cache .ruff_cache .hypothesis bench/baseline/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------ environments
# As few as their pins allow:
#   .venv           what the office, its tests and its tools import. `make run` needs a part of it only
#   .venv-sam       aws-sam-cli, which pins click and boto3 to other versions than .venv
#   .venv-checkov   checkov, which pins boto3 to another version than both
#   .venv-lambda    what Lambda's own runtime has, on its Python, and nothing else: in here a function fails that imports
#                   a library which the layer lacks
#   .venv-emulator  ministack, which pins botocore to another version than all of them, and runs functions with its own
#                   Python: so this is the runtime's, too

# $(call new-environment,DIR): with the Python at hand, which must be new enough.
define new-environment
@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "python3 is " + sys.version.split()[0] + ", 3.11 or newer is needed: make PYTHON=...")'
echo "Making $(1) with $$($(PYTHON) --version)"
$(PYTHON) -m venv --clear $(1)
endef

.venv/.run: requirements/run.txt
	$(call new-environment,.venv)
	.venv/bin/python $(PIP_INSTALL) $<
	touch $@

.venv/.dev: requirements/dev.txt .venv/.run
	@echo "Adding what tests and linters need"
	.venv/bin/python $(PIP_INSTALL) $<
	touch $@

# For tests/browser. Of all tools it alone comes from the system's packages: no registry of libraries has it.
.venv/.chromium: .venv/.dev
	@scripts/chromium
	touch $@

.venv-sam/.sam: requirements/sam.txt
	$(call new-environment,.venv-sam)
	.venv-sam/bin/python $(PIP_INSTALL) $<
	touch $@

.venv-checkov/.checkov: requirements/checkov.txt
	$(call new-environment,.venv-checkov)
	.venv-checkov/bin/python $(PIP_INSTALL) $<
	touch $@

# With the runtime's Python; where there is none, tests/artifact builds for and runs on the one at hand.
.venv-lambda/.lambda: requirements/lambda.txt
	@echo "Making .venv-lambda"
	"$$(scripts/runtime-python)" -m venv --clear .venv-lambda
	.venv-lambda/bin/python $(PIP_INSTALL) $<
	touch $@

# Runs the functions in processes of its own Python, so that is the runtime's, as above.
.venv-emulator/.emulator: requirements/emulator.txt
	@echo "Making .venv-emulator"
	"$$(scripts/runtime-python)" -m venv --clear .venv-emulator
	.venv-emulator/bin/python $(PIP_INSTALL) $<
	touch $@

# npm has the engine for Linux on x86-64 and installs nothing elsewhere. A program that finds no engine, here or on
# PATH, says by which command to get one: local/engine.py.
node_modules/.engine: package.json package-lock.json
	@if command -v npm >/dev/null; then npm ci --omit=dev --no-audit --no-fund; fi
	mkdir -p node_modules
	touch $@

# For tests/description: what reads the API description as other people's programs do. For tests/browser and
# `make vendor`: axe and the page's libraries.
node_modules/.tools: node_modules/.engine
	@npm install --no-save --no-audit --no-fund
	touch $@

# The service of `make compare`. It takes npm; the database comes from the system: scripts/postgres.
bench/baseline/node_modules/.baseline: bench/baseline/package.json bench/baseline/package-lock.json
	@cd bench/baseline
	npm ci --no-audit --no-fund
	touch node_modules/.baseline
