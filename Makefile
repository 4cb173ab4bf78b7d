# Everything that a person types in this repository. `make` alone prints this list.
#
# Every target installs what it needs first, once: a stamp file in .venv is newer than
# the locked requirements as long as nothing has to be done.

.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
UV := $(shell command -v uv 2>/dev/null)

# What `make test` passes to pytest: make test ARGS="tests/domain -k rollout"
ARGS ?=

# The first interpreter that is new enough. A candidate is run, not only found: a
# version manager's shim may be on PATH for a version that it does not have.
CANDIDATES := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for each in $(CANDIDATES); do \
	  "$$each" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$each"; break; }; \
	done

.PHONY: help
help: ## print this list
	@echo "usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: up
up: install ## run the whole system here, in the foreground; Ctrl-C stops it
	@$(BIN)/rollbook up

.PHONY: demo
demo: install ## the story of a Deployment, by itself; RUNTIME=container on an engine
	@$(BIN)/python examples/demo.py --runtime $(or $(RUNTIME),process)

.PHONY: test
test: install-dev ## run the tests; make test ARGS="tests/domain -k rollout" runs some
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || command -v initdb >/dev/null 2>&1 \
	  || echo "PostgreSQL is not installed: the tests marked 'postgres' are skipped" \
	     "(Debian, Ubuntu: apt-get install postgresql)."
	$(BIN)/pytest -n 2 $(ARGS)

.PHONY: check
check: install-dev ## format, lint, types, import contracts, generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

.PHONY: format
format: install-dev ## rewrite the code in the one format that `make check` accepts
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: install-dev ## write the generated documents again
	$(BIN)/python docs/generate.py

# Names of `rollbook bench`, with its options: make bench SCENARIO="mixed --runs 3"
SCENARIO ?=

.PHONY: bench
bench: install ## measure, and print the table; SCENARIO="latency reaction"
	@$(BIN)/rollbook bench $(SCENARIO)

.PHONY: profile
profile: install ## flame graphs of control and api into .rollbook/profile; SCENARIO=create
	@test -x $(BIN)/py-spy || $(INSTALL) py-spy
	@$(BIN)/rollbook bench $(or $(SCENARIO),create) --profile .rollbook/profile
	@echo "flame graphs: .rollbook/profile/*.svg"

.PHONY: mutants
mutants: install-dev ## seed known bugs one by one; print which test catches each
	@$(BIN)/python tests/properties/mutants.py

# How many seeds, from which one on (a new one each time), or a single one.
SEEDS ?= 100
SIMULATE = --seeds $(SEEDS) $(if $(START),--start $(START)) $(if $(SEED),--seed $(SEED))

.PHONY: simulate
simulate: install-dev ## faults of every kind from a seed; SEEDS=1000 START=0, or SEED=7
	@$(BIN)/python -m tests.simulation.run $(SIMULATE)

.PHONY: perturb
perturb: install-dev ## a fault at every single point of small stories; compare the ends
	@$(BIN)/python -m tests.simulation.perturbation

.PHONY: install
install: $(INSTALLED) ## only install, into .venv

.PHONY: install-dev
install-dev: $(DEV) ## install what the tests and the checks need too

.PHONY: lock
lock: ## compile requirements/*.txt again from pyproject.toml; needs uv
	@test -n "$(UV)" || { echo "make lock needs uv on PATH." >&2; exit 1; }
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) pyproject.toml --group dev \
	  -c requirements/build.txt -c requirements/runtime.txt -o requirements/dev.txt

# One lock for every Python ≥ 3.11 and every platform. It names no index, so that a
# company's mirror works as well as the public one; the hashes say that it is the same.
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links

.PHONY: clean
clean: ## remove everything that was installed or built, but not .rollbook
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ── how things get installed ──────────────────────────────────────────────────────────
# Locked and hashed packages first; then the project itself, editable, built by the
# hatchling that was just installed, so that no step resolves anything by itself.

ifdef UV
INSTALL = $(UV) pip install --quiet --python $(BIN)/python
else
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check \
  --root-user-action=ignore
# An environment that uv made has no pip, and uv may be gone since.
HAVE_PIP = $(BIN)/python -m pip --version >/dev/null 2>&1 \
  || $(BIN)/python -m ensurepip >/dev/null
endif
HAVE_PIP ?= :
SELF = $(INSTALL) --no-deps --no-build-isolation --editable .

$(INSTALLED): pyproject.toml requirements/build.txt requirements/runtime.txt $(BIN)/python
	@echo "Installing Rollbook into $(VENV) …"
	@$(HAVE_PIP)
	@$(INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(SELF)
	@touch $@

$(DEV): requirements/dev.txt $(INSTALLED)
	@echo "Installing what the tests and checks need into $(VENV) …"
	@$(HAVE_PIP)
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

$(BIN)/python:
	@rm -rf $(VENV)
	@python=$$($(FIND_PYTHON)); \
	if [ -n "$(UV)" ]; then \
	  $(UV) venv --quiet --python "$${python:->=3.11}" $(VENV); \
	elif [ -z "$$python" ]; then \
	  echo "Rollbook needs Python 3.11 or newer, and none of these is:" \
	       "$(strip $(CANDIDATES))." >&2; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	elif ! "$$python" -m venv $(VENV); then \
	  rm -rf $(VENV); \
	  echo "$$python cannot make virtual environments. On Debian and Ubuntu:" \
	       "apt-get install python3-venv" >&2; \
	  exit 1; \
	fi
