# `make demo` first. Every target makes the virtual environment it needs; pip runs with your own settings (pip.conf, PIP_*).

PYTHON ?= python3
VENV ?= .venv
PEERS_VENV ?= .venv-peers
BIN = $(VENV)/bin
PIP = -m pip --disable-pip-version-check

# PyPI's PyTorch for Linux brings CUDA; PYTORCH_CPU=1 takes PyTorch's own CPU build instead. Elsewhere there is only a CPU build.
TORCH = $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_FROM = "torch==$(TORCH)"
TORCH_SIZE = about 110 MB
ifeq ($(shell uname -s),Linux)
ifneq ($(filter-out 0,$(PYTORCH_CPU)),)
TORCH_FROM = --extra-index-url https://download.pytorch.org/whl/cpu "torch==$(TORCH)+cpu"
TORCH_SIZE = the CPU build, about 190 MB
else
TORCH_SIZE = 2.7 GB from PyPI (with CUDA), or 190 MB where your pip settings lead to a CPU build; PYTORCH_CPU=1 make ... takes that
endif
endif

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-peers smoke clean

help:
	@echo "make demo         a small language model before, while and after it learns to negotiate: about five minutes"
	@echo "make test         the test suite: no network, no key, no GPU"
	@echo "make check        format, lint, types, import rules, tests"
	@echo "make format       put the code into the project's format"
	@echo "make bench        the benchmarks that need nothing but this project"
	@echo "make bench-peers  the benchmarks beside other libraries (in an environment of their own)"
	@echo "make smoke        build the wheel, and try it from another folder in a fresh environment"
	@echo "make clean        remove environments, caches and builds; runs/ stays"
	@echo
	@echo "make demo ARGS=--quick        under two minutes"
	@echo "PYTORCH_CPU=1 make demo       on Linux without a GPU: PyTorch's CPU build (190 MB), not PyPI's with CUDA (2.7 GB)"
	@echo "PYTHON=python3.12 make demo   with another interpreter (3.11 or newer)"

demo: $(VENV)/.train
	@$(BIN)/nego demo $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

smoke: $(VENV)/.dev
	@$(BIN)/python scripts/smoke_wheel.py

bench: $(VENV)/.runtime
	@for name in accounting imports listing memory baselines; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-peers: $(PEERS_VENV)/.peers
	@$(PEERS_VENV)/bin/python -m benchmarks.stepping

# ---------------------------------------------------------------- environments
# A stamp inside the environment says what was installed, and goes when the environment goes.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "installing nego-env with numpy, pettingzoo, textual and a dozen small packages: about 22 MB to download"
	@$(BIN)/python $(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "installing nego-env with what trains language models (transformers, trl, datasets, matplotlib, ...): about 175 MB to download"
	@$(BIN)/python $(PIP) install --quiet -c constraints.txt -e '.[train]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	@echo "installing nego-env with its test tools (pytest, mypy, ruff, ...) and what trains language models: about 210 MB to download"
	@$(BIN)/python $(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.train $(VENV)/.runtime

# First and alone, in the version of constraints.txt: a build that is chosen here stays, whatever is installed later.
$(VENV)/.torch: constraints.txt | $(VENV)/.made
	@$(BIN)/python -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null || { \
	  echo "installing PyTorch $(TORCH); to download: $(TORCH_SIZE)"; \
	  $(BIN)/python $(PIP) install --quiet $(TORCH_FROM); }
	@touch $@

$(PEERS_VENV)/.peers: pyproject.toml benchmarks/peers-requirements.txt | $(PEERS_VENV)/.made
	@echo "installing nego-env with the libraries it is compared with (TextArena, OpenSpiel, Shimmy): a few hundred MB"
	@$(PEERS_VENV)/bin/python $(PIP) install --quiet -r benchmarks/peers-requirements.txt -e .
	@touch $@

$(VENV)/.made $(PEERS_VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: name an interpreter, PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nego-env needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1): name another, PYTHON=python3.12 make ..." >&2; exit 1; }
	@echo "making $(@D) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(@D) || { echo "no virtual environment could be made (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS_VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
