# make lab    the quickstart in JupyterLab
# make demo   the quickstart in the terminal
# make test   everything that is checked
# make bench  the benchmarks of the README
# make docs   the documentation, in docs/_build/html
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(wildcard widgets/*.json widgets/*.mjs widgets/*/*.ts widgets/*/*.css)

.PHONY: lab demo test lint types front-end browser bench docs clean

lab: .venv/.lab
	$(BIN)/llmkit lab

demo: .venv/.lab
	$(BIN)/llmkit demo

test: lint types front-end browser
	$(BIN)/python -m tests

lint: .venv/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.test
	$(BIN)/mypy

front-end: .venv/.test
	cd widgets && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --no-audit --no-fund --loglevel=error
	cd widgets && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent check
	cd widgets && PATH="$(CURDIR)/$(BIN):$$PATH" npm test --silent

browser: .venv/.test
	$(BIN)/python -m tests.browser.install

bench: .venv/.test
	$(BIN)/python -m tests.benchmarks

docs: .venv/.lab
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going --quiet docs docs/_build/html

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.lab: .venv/bin/python pyproject.toml $(SOURCES)
	$(BIN)/python -m pip install --quiet --editable '.[lab]'
	$(BIN)/llmkit models fetch
	touch $@

.venv/.test: .venv/.lab
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf .venv llmkit/static/*.js llmkit/static/*.css widgets/node_modules .mypy_cache .ruff_cache .pytest_cache
