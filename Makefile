# setup: build .venv.  servers: install mosquitto, influxd, nginx and socat.  Everything else needs only these two.

PYTHON ?= python3
BIN := .venv/bin
STACK ?= embedded
SERVERS := mosquitto influxdb nginx-light socat
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: setup servers lint test demo bench bench-forecast bench-detection schemas lock clean

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Wattline needs Python 3.11 or newer; $(PYTHON) is older. Say which: make setup PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "python3 has no venv module here. Debian and Raspberry Pi OS: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	@touch $@

servers:
	@missing=; for tool in mosquitto influxd nginx socat; do \
	  PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing=yes; done; \
	if [ -n "$$missing" ]; then \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    -o DPkg::Lock::Timeout=300 $(SERVERS) >/dev/null; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Three at a time on two cores: many tests wait for a clock or a server.
test: setup servers lint
	$(BIN)/pytest -n 3 --dist loadgroup

demo: setup
	@if [ "$(STACK)" = servers ]; then $(MAKE) --no-print-directory servers; fi
	$(BIN)/wattline-sim demo --stack $(STACK)

bench: setup
	$(BIN)/python -m tests.bench

bench-forecast: setup
	$(BIN)/python -m tests.bench.forecast

bench-detection: setup
	$(BIN)/python -m tests.bench.detection

# What editors need to know about the YAML files, and the option tables of config/README.md.
schemas: setup
	$(BIN)/wattline-edge schema --out config/schema --readme config/README.md
	$(BIN)/wattline-collector schema --out config/schema --readme config/README.md
	$(BIN)/wattline-sim schema --out config/schema --readme config/README.md

# Versions and hashes without any address, so the tree works with every mirror of the package index.
lock:
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --extra edge --extra collector --extra simulators --group dev --upgrade \
	  --custom-compile-command 'make lock' -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command 'make lock' -o requirements-uv.lock requirements-uv.in

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
