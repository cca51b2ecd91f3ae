# `make demo` and `make test` set up all they need: packages of the host, a virtual environment in .venv, an engine.

PYTHON ?= python3
PY := .venv/bin/python
# CI insists on its backends: `make test PYTEST="--backend fake --backend docker"`.
PYTEST ?=
# The engine that the demo runs on: native, docker or podman.
RUNTIME ?= native
# Most tests wait for an engine most of the time, so a few more than there are cores.
WORKERS ?= 4
MAKEFLAGS += --no-print-directory

.PHONY: help demo test check fix bench clean

help:
	@echo "make demo    the main job, from nothing to nothing, on native; RUNTIME=docker, RUNTIME=podman: on these"
	@echo "make test    every test, engines included"
	@echo "make check   types, lint, import rules, generated code"
	@echo "make fix     format, and regenerate what is generated"
	@echo "make bench   what is claimed about speed and size"
	@echo "make clean   remove what these commands made in this folder"

demo: .venv/demo
	@$(PY) -m tests.host --$(RUNTIME) -- $(PY) examples/demo.py $(RUNTIME)

test: .venv/test
	@$(PY) -m pytest $(PYTEST) tests/host
	@$(PY) -m pytest $(PYTEST) --ignore tests/host --numprocesses $(WORKERS) --dist loadgroup \
		--no-loadscope-reorder --max-worker-restart 0

check: .venv/test
	$(PY) -m ruff check
	$(PY) -m ruff format --check --quiet
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PY) -m cri.generate --check

fix: .venv/test
	$(PY) -m ruff check --fix
	$(PY) -m ruff format --quiet
	$(PY) -m cri.generate

bench: .venv/test
	@$(PY) -m tests.host -- $(PY) -m benchmarks

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The host's packages are looked at every time (it is quick), the environment is made anew when pyproject.toml changes.
.PHONY: packages-demo packages-test
packages-demo:
	@$(PYTHON) tests/host/packages.py demo-$(RUNTIME)

packages-test:
	@$(PYTHON) tests/host/packages.py test

.venv/demo: pyproject.toml | packages-demo
	@echo "installing minicri and what it needs into .venv"
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test: pyproject.toml | packages-test
	@echo "installing minicri and what its tests need into .venv"
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/demo
