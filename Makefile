# Everything sets itself up in .venv; all that is needed is Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= 2
# TORCH=cpu: the builds of torch and torchvision that cannot use a GPU, several GB smaller, from an
# index that has them beside each other. Nothing: those of PyPI, which can.
TORCH :=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
$(if $(filter-out cpu,$(TORCH)),$(error TORCH=$(TORCH): TORCH=cpu is the only other build; leave TORCH out for the one that can use a GPU))
TORCH_OK := $(if $(TORCH),$(VENV)/torch-$(TORCH).ok)
# Further words for pytest in make test, such as PYTEST="-p randomly": the tests in random order.
PYTEST ?=
# The files of tests are shared out between processes; the longest come first (tests/conftest.py).
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# What make coverage runs; such as TESTS=tests/unit/dicom.
TESTS ?= tests
# What make test-report opens; the demo's is made if it is not there.
REPORT ?= results/demo/report.zip
# What make same-weights compares the source with.
BASE ?= HEAD

# What runs the measurements of a GPU, on a machine that may have a torch of its own and no .venv, and for how long.
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
MINUTES ?= 10
GPU ?=

.PHONY: help install demo test coverage test-slurm test-report lint format docs bench gpu same-weights same-weights-check fuzz lock clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(BIN)/python:
	@case '$(subst ','\'',$(abspath $(VENV)))' in *[[:space:]\'\"\\\$$\`\&\|\;\<\>\(\)\*\?\[\{\}]*) echo '$(subst ','\'',$(abspath $(VENV))): Snakemake cannot start Python from a folder with spaces, quotes or other signs of a shell; move the checkout, or set VENV="$$HOME/sscdl-venv"'; exit 1;; esac
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Without what they depend on, which the other packages' index has in the locked versions.
$(VENV)/torch-cpu.ok: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --index-url "$(TORCH_INDEX)" --constraint requirements.lock torch torchvision
	touch $@

$(VENV)/run.ok: requirements.in requirements.lock $(TORCH_OK) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements.in --constraint requirements.lock
	touch $@

$(VENV)/dev.ok: requirements-dev.in requirements.in requirements.lock $(TORCH_OK) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.in --constraint requirements.lock
	touch $(VENV)/run.ok $@

$(VENV)/slurm.ok: requirements-slurm.in requirements.lock $(VENV)/dev.ok
	$(BIN)/python -m pip install --quiet --requirement requirements-slurm.in --constraint requirements.lock
	touch $@

$(VENV)/report.ok: requirements-report.in requirements-dev.in requirements.in requirements.lock $(VENV)/dev.ok
	$(BIN)/python -m pip install --quiet --requirement $< --constraint requirements.lock
	touch $@

install: $(VENV)/run.ok  ## the virtual environment .venv, with all that runs need (TORCH=cpu: without a GPU's libraries)

demo: $(VENV)/run.ok  ## a study on synthetic radiographs: tables, figures and a report in results/demo (TORCH=cpu as above)
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores $(CORES) --resources gpu=1 --configfile config/demo.yaml
	PATH="$(abspath $(BIN)):$$PATH" snakemake --cores 1 --configfile config/demo.yaml --report results/demo/report.zip
	@echo "Report: results/demo/report.zip"

test: $(VENV)/dev.ok  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.run -q tests $(SIDE_BY_SIDE) $(PYTEST)

coverage: $(VENV)/dev.ok  ## all tests, and which lines and branches of sscdl they leave out (TESTS=<folder>: of these)
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m tests.run -q $(TESTS) $(SIDE_BY_SIDE) $(PYTEST); status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

test-slurm: $(VENV)/slurm.ok  ## the workflow on a real Slurm of one node, set up for it (root, Debian)
	tests/slurm/setup.sh start
	$(BIN)/python -m tests.run -q tests/slurm/test_slurm.py; status=$$?; tests/slurm/setup.sh stop; exit $$status

test-report: $(VENV)/report.ok  ## a report in a browser: all shows, sorts and stays offline (installs chromium: root, Debian)
	tests/report/setup.sh
	[ -f "$(REPORT)" ] || $(MAKE) demo
	SSCDL_REPORT="$(abspath $(REPORT))" $(BIN)/python -m tests.run -q tests/report/test_report.py

lint: $(VENV)/dev.ok  ## style, types, workflow and configuration checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python -m sscdl.study.reference --check
	$(BIN)/python -m benchmarks.gpu --table --check
	PATH="$(abspath $(BIN)):$$PATH" snakemake --lint --configfile config/demo.yaml

format: $(VENV)/dev.ok  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

docs: $(VENV)/dev.ok  ## rewrite the tables that come from schema, declarations and results on GPUs
	$(BIN)/python -m sscdl.study.reference
	$(BIN)/python -m benchmarks.gpu --table

bench: $(VENV)/dev.ok  ## the measurements behind benchmarks/README.md
	$(BIN)/python benchmarks/three_seeds.py
	$(BIN)/python benchmarks/probe.py

gpu:  ## all that only a GPU can show, in MINUTES=10, with any Python that has torch (docs/gpu.md)
	$(GPU_PYTHON) -m benchmarks.gpu --minutes $(MINUTES) $(GPU)

same-weights-check: $(VENV)/dev.ok  ## do the newest of those comparisons again, of one part in turn
	$(BIN)/python -m benchmarks.same_weights.compare --check

same-weights: $(VENV)/dev.ok  ## BASE=<revision>: prove that what it made is still made, bit for bit; write down what is proven
	$(BIN)/python -m benchmarks.same_weights.compare --base "$(BASE)" --write

fuzz: $(VENV)/dev.ok  ## 20,000 damaged DICOM files: no crash, no hang, none lost
	$(BIN)/python benchmarks/fuzz.py --files 20000 --seed 0

lock: $(VENV)/slurm.ok $(VENV)/report.ok  ## pin the versions that .venv has now
	(echo "# Every package at the version that is tested; made by: make lock"; \
	$(BIN)/python -m pip freeze --all | grep -viE '^(pip|setuptools|nvidia-|cuda-|triton)' | sed -E 's/\+cpu//') > requirements.lock

clean:  ## remove the results of the demo; trained stages stay in the store
	rm -rf results/demo results/demo-seeds
