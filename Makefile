# Each word makes what it needs first; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo check quick test nox bench torture tmux clean

help:
	@echo "make demo     run one job through the queue, no account needed"
	@echo "make check    lint and types"
	@echo "make quick    lint and the tests that start no session: about a minute"
	@echo "make test     every test, the real client included"
	@echo "make nox      the fast tests on Python 3.11 to 3.14, as far as they are here"
	@echo "make bench    measure against bare tmux and the bare client"
	@echo "make torture  hundreds of jobs under random kills, then the proof that none was lost or repeated"

# uv comes by pip with its hashes, everything else by uv with those of uv.lock. The build backend is locked too, hence no
# build isolation. The certificates are the system's, as pip's are.
UV := UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 $(BIN)/uv
SYNC := $(UV) sync --quiet --locked --inexact --no-build-isolation-package muxq --no-default-groups --group build

$(VENV)/.uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "muxq needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no venv module; try: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing uv into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.txt
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv pyproject.toml uv.lock
	@echo "installing muxq into $(VENV)"
	@$(SYNC)
	@touch $@

$(VENV)/.test: $(VENV)/.runtime
	@echo "installing what the tests need into $(VENV)"
	@$(SYNC) --group test
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	@echo "installing nox and pre-commit into $(VENV)"
	@$(SYNC) --group dev
	@touch $@

# Install tmux where we may, else print the one line that does.
tmux:
	@command -v tmux >/dev/null 2>&1 && exit 0; \
	if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq tmux; \
	elif command -v brew >/dev/null 2>&1; then brew install tmux; \
	else echo "muxq needs tmux 3.2 or newer: sudo apt-get install tmux (or your system's own package manager)" >&2; exit 1; fi

demo: $(VENV)/.runtime tmux
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

check: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

# What needs no session and no client. The properties of tests/test_fuzz.py get fewer cases than `make test` gives them.
quick: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@HYPOTHESIS_PROFILE=quick $(BIN)/pytest -q -n logical --dist worksteal -m "not lifecycle and not client and not long"

# In three parts, since each bears another number at a time: what uses a core, what waits for processes, and real clients
# (each takes a core for seconds, and a slow one is another client than the one that people run).
test: check tmux
	@$(BIN)/python tests/client/install.py
	@$(BIN)/pytest -n logical --dist worksteal -m "not lifecycle and not client and not long"
	@$(BIN)/pytest -n 4 --dist loadgroup -m "lifecycle and not client and not long"
	@$(BIN)/pytest -n 2 --dist loadgroup -m "client and not long"

nox: $(VENV)/.dev tmux
	@UV_SYSTEM_CERTS=1 $(BIN)/nox

bench: $(VENV)/.test tmux
	@$(BIN)/python tests/client/install.py
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

torture: $(VENV)/.test tmux
	@$(BIN)/python tests/client/install.py
	@$(BIN)/pytest -m long
	@HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/test_fuzz.py
	@$(BIN)/python -m tests.torture.campaign --client 30

clean:
	rm -rf $(VENV) .nox .import_linter_cache .mypy_cache .ruff_cache .pytest_cache dist
