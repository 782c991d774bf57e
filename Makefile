# `make help` tells what there is. Everything is installed into .venv, nothing elsewhere
# (but for the packages that `make test` brings when it runs as root).

UPSTREAM ?= pypiserver
PORT ?= 8080
PYTEST ?= -n 4 --dist loadfile --no-loadscope-reorder
FUZZ ?=
FUZZ_SECONDS ?= 3600
SOAK_SECONDS ?= 1800
BIN := .venv/bin
# Some containers set it: every test process would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test interpreters quick test-long mutants fuzz check types layers lint format configurations compiled bench screenshots docs messages wheel image packages reliability soak lock clean

help:
	@echo 'make demo                   try it at http://localhost:8080 (pypiserver)'
	@echo 'make demo UPSTREAM=devpi    the same with devpi; PORT=8090 takes another port'
	@echo 'make quick                  lint, types, layers and the tests that start no server'
	@echo 'make test                   lint, types, layers and every test; installs what is missing'
	@echo '                            and what a Python can break also on /usr/bin/python3'
	@echo 'make interpreters           the quick tests on /usr/bin/python3; PYTHONS=… names more'
	@echo 'make test-long              every test in every combination, for an hour'
	@echo 'make mutants                break guards on purpose: is each defect found by its tests?'
	@echo 'make fuzz                   generated inputs for an hour (FUZZ_SECONDS=60, FUZZ=forms)'
	@echo 'make check                  only lint, types, layers and the shipped configurations'
	@echo 'make bench                  side by side with nginx, writes benchmarks/results.md'
	@echo 'make screenshots            every page in light and dark, into build/screenshots'
	@echo 'make docs                   write the parts of docs/ that come from the code'
	@echo 'make messages               take texts for people out of the code, compile translations'
	@echo 'make wheel                  build the wheels (gateway, devpi-client-otp) into dist'
	@echo 'make image                  build the container image without an engine, as root'
	@echo 'make packages               build and run the image and what docs/deployment.md ships, as root'
	@echo 'make reliability            kill -9, failovers, a crowd: docs/reliability.md, an hour'
	@echo 'make soak                   mixed traffic for half an hour (SOAK_SECONDS=…): does anything grow?'
	@echo 'make lock                   pin the dependencies anew (UPGRADE=1 for newer versions)'
	@echo 'make clean                  remove .venv and everything that was built'

demo:
	@tools/install $(if $(filter devpi,$(UPSTREAM)),demo-devpi,demo)
	@exec $(BIN)/index-gateway demo --upstream $(UPSTREAM) --port $(PORT)

test:
	@tools/install dev
	@tools/test-servers
	@tools/clients
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest $(PYTEST)
	tools/elsewhere $(PYTEST)

interpreters:
	@tools/install dev
	tools/elsewhere --all $(PYTEST)

quick: check
	$(BIN)/python -m pytest $(PYTEST) --quick

test-long:
	@tools/install dev
	@tools/test-servers
	@tools/clients
	$(BIN)/python -m pytest $(PYTEST) --long --hypothesis-profile random

mutants:
	@tools/install dev
	$(BIN)/python -m pytest -v --long tests/mutation

fuzz:
	@tools/install dev
	$(BIN)/python -W ignore -m tests.fuzz.run --seconds $(FUZZ_SECONDS) $(FUZZ)

# Side by side, what takes longest first; what each says comes in one piece.
check:
	@tools/install dev
	@$(MAKE) --no-print-directory -j 2 -O -k types layers lint format configurations compiled

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports --no-cache

lint:
	$(BIN)/ruff check .

format:
	$(BIN)/ruff format --check .

configurations:
	tools/check-configs

# Before three processes at once find that the tests were never compiled.
compiled:
	@ls tests/__pycache__/conftest.*-pytest-*.pyc >/dev/null 2>&1 || $(BIN)/python -m pytest -n 0 --collect-only -qq >/dev/null || true

bench:
	@tools/install dev
	$(BIN)/python -m benchmarks

screenshots:
	@tools/install dev
	@tools/test-servers
	$(BIN)/python -m pytest tests/web/test_screenshots.py --screenshots build/screenshots

docs:
	@tools/install dev
	$(BIN)/python tools/write_docs.py

messages:
	@tools/install dev
	$(BIN)/python tools/messages.py

wheel:
	@tools/install run
	@rm -rf build/lib build/bdist.* # what was deleted since would go along
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . ./plugins/devpi-client-otp

image:
	tools/image build/index-gateway.tar

packages:
	@tools/install dev
	@tools/clients packagers
	@tools/packagers
	$(BIN)/python -m pytest --packages tests/deploy tests/docs/test_monitoring.py

reliability:
	@tools/install dev
	@tools/test-servers
	for what in sentinel cluster crowd killed 'killed --store redis'; do $(BIN)/python -m tests.reliability $$what || exit 1; done

soak:
	@tools/install dev
	@tools/test-servers
	for store in sqlite redis; do $(BIN)/python -m tests.reliability soak --store $$store --seconds $(SOAK_SECONDS) || exit 1; done

lock:
	@tools/install dev
	tools/lock

clean:
	rm -rf .venv .cache build dist node_modules *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
