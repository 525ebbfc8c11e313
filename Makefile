# Five words: demo, check, test, bench, torture. Each makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo check test bench torture tmux clean

help:
	@echo "make demo     run one job through the queue, no account needed"
	@echo "make check    lint and types"
	@echo "make test     every test, the real client included"
	@echo "make bench    measure against bare tmux and the bare client"
	@echo "make torture  hundreds of jobs under random kills, then the proof that none was lost or repeated"

$(VENV)/.runtime: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "muxq needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "no venv module; try: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing muxq into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.runtime
	@echo "installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
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

test: check tmux
	@$(BIN)/python tests/client/install.py
	@$(BIN)/pytest

bench: $(VENV)/.test tmux
	@$(BIN)/python tests/client/install.py
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

torture: $(VENV)/.test tmux
	@$(BIN)/python tests/client/install.py
	@$(BIN)/pytest -m long
	@HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/test_fuzz.py
	@$(BIN)/python tests/torture/campaign.py --client 30

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist
