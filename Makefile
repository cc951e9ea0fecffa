# Everything a developer needs: `make help`. Needs Python 3.11 to 3.13 and make; the rest goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
STAMP := .venv/.kernels
RECURRENT := runtime/chrion_runtime/engines/recurrent

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow test-cluster test-e2e lint bench bench-serving bench-gpu pack-gpu bench-operator soak pictures transcript schema docs lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

# Without the kernels ONNX Runtime stands in for them, which no figure and, where there is a compiler, no test may hide.
demo bench bench-serving bench-gpu bench-operator soak: export CHRION_REQUIRE_RECURRENT ?= 1
test slow test-cluster test-e2e: export CHRION_REQUIRE_RECURRENT ?= $(if $(shell command -v $(CC) 2>/dev/null),1)

setup: $(STAMP) ## make .venv, with everything at its locked version

demo: $(STAMP) ## plan and serve a real model, check its answers, show how fast it is
	@$(BIN)/python examples/demo.py

test: $(STAMP) ## the tests, without the exhaustive ones (PYTEST_ARGS=…)
	@$(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0 -m "not slow and not cluster and not e2e" $(PYTEST_ARGS)

slow: $(STAMP) ## the exhaustive tests
	@$(BIN)/python -m pytest -m "slow and not cluster and not e2e" $(PYTEST_ARGS) || [ $$? -eq 5 ] # 5: there are none

test-cluster: $(STAMP) ## the operator on a real Kubernetes control plane, built where KUBECONFIG names none
	@tests/cluster/kubernetes/run.sh $(BIN)/python -m pytest -m "cluster and not slow" tests/cluster $(PYTEST_ARGS)

test-e2e: $(STAMP) ## all of it on a Kubernetes node with real pods; needs root where KUBECONFIG names none
	@$(BIN)/python -m chrion_models.real >/dev/null # there is no network where the node is
	@tests/cluster/kubernetes/run.sh --node $(BIN)/python -m pytest -m e2e tests/e2e $(PYTEST_ARGS)

lint: $(STAMP) ## style, formatting, types, and which package may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Without the bench extra there are no plots, no OpenVINO and no CP-SAT; the results say so. The planning bench goes
# along with the whole suite and with --quick, not with a choice of models.
bench: $(STAMP) ## measure plans against what people use instead (BENCH_ARGS=…)
	@$(BIN)/python -c 'import matplotlib, openvino, ortools, saga' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cpu,bench]' || true
	@$(BIN)/python -m chrion_bench $(BENCH_ARGS)
	@$(if $(filter-out --quick --resume,$(BENCH_ARGS)),,$(BIN)/python -m chrion_bench.planning $(filter --quick,$(BENCH_ARGS)))

bench-serving: $(STAMP) ## measure the server beside others (BENCH_ARGS=…)
	@$(BIN)/python -m chrion_bench.serving $(BENCH_ARGS)

bench-gpu: $(STAMP) ## measure on this machine's GPU; without one, --dry-run shows that it runs (BENCH_ARGS=…)
	@PYTHON=$(BIN)/python bench/gpu/run $(BENCH_ARGS)

pack-gpu: $(STAMP) ## pack what bench/gpu/run needs on an offline GPU host (PACK_ARGS=--host FILE)
	@PYTHON=$(BIN)/python bench/gpu/pack $(PACK_ARGS)

bench-operator: $(STAMP) ## measure the operator on a real Kubernetes (BENCH_ARGS=…); needs root
	@tests/cluster/kubernetes/run.sh $(BIN)/python -m chrion_bench.operator --only many --only tenants $(BENCH_ARGS)
	@tests/cluster/kubernetes/run.sh --node $(BIN)/python -m chrion_bench.operator --only answer --only objective $(BENCH_ARGS)

soak: $(STAMP) ## serve all kinds of requests for minutes; nothing may grow (SOAK_ARGS=--seconds 60)
	@$(BIN)/python -m chrion_bench.serving.soak $(SOAK_ARGS)

pictures: $(STAMP) ## take the pictures of the page in docs/ again; needs Chromium
	@$(BIN)/python -m chrion_bench.pictures

transcript: $(STAMP) ## write docs/end-to-end.md from a real run; needs root
	@tests/cluster/kubernetes/run.sh --node $(BIN)/python -m chrion_bench.operator.transcript

schema: $(STAMP) ## rewrite docs/schema/, the CRD and its reference, the chart's table of values and docs/messages.md
	@$(BIN)/python -m chrion_api.schema docs/schema
	@$(BIN)/python -m chrion_operator.crd crds charts/chrion/files/crds docs/crd.md
	@$(BIN)/python charts/readme.py
	@$(BIN)/python -m tests.support.messages docs/messages.md

docs: $(STAMP) ## build the site of README and docs/ in build/site; warnings are errors
	@$(BIN)/python -c 'import mkdocstrings_handlers.python, zensical' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cpu,docs]'
	@$(BIN)/python docs/gather.py build/pages
	@$(BIN)/python -m zensical build --clean --strict

# No index and no host goes into the lock, so that it holds for any mirror.
lock: $(STAMP) ## bring requirements.lock to the newest versions within pyproject.toml's bounds
	@$(BIN)/python -m pip install --quiet "uv>=0.9,<1"
	@$(BIN)/uv pip compile pyproject.toml --extra cpu --extra openvino --extra operator --extra cluster --extra dev \
		--universal --python-version 3.11 --upgrade --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## remove what make made: .venv, downloaded models, caches
	@rm -rf .venv .models .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build \
		$(RECURRENT)/built
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The kernels, again after a change; installing Chrion has built them the first time.
$(STAMP): $(INSTALLED) hatch_build.py $(wildcard $(RECURRENT)/native/*)
	@$(BIN)/python hatch_build.py
	@touch $@

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Chrion needs Python 3.11 to 3.13; name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@# Debian keeps what venv needs in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv; } && \
		$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make a venv; install its package for that: apt-get install python3-venv" >&2; exit 1; }
	@# Chrion does without a C compiler, and says what it then lacks.
	@$(CC) -E -include string.h -x c /dev/null >/dev/null 2>&1 || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y gcc libc6-dev; } || true
	@echo "Setting up .venv (once, a minute or two)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
