# The two commands of the README. Both make their own virtual environment in .venv first.
PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
BIN := $(VENV)/bin
# torch goes first: whatever is installed after it then finds the version it wants.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

N ?= 40
SEED ?= 1

.PHONY: sweep test test-vllm lint reference report report-sums release-check faults clean
.DEFAULT_GOAL := help

help:
	@echo "make sweep   install, then the quickstart sweep: three arms, two seeds, a table and figures"
	@echo "make test    install with the test extra, then the tests"
	@echo "make test-vllm  install vLLM's CPU build beside all else (3 GB, AVX512 needed), then its tests"
	@echo "make lint    ruff and mypy"
	@echo "make reference  docs/reference from the schema and the command line"
	@echo "make report  the reports of the studies in results/embedded again, each compared with its recorded sums"
	@echo "make report-sums  record those sums, once more runs of a study have been added"
	@echo "make release-check  the wheel, installed outside of the checkout, runs the tutorial"
	@echo "make faults  N=40 random faults over sweeps here and on a Slurm of its own (docs/faults.md)"

sweep: $(VENV)/installed
	$(BIN)/paw-bench sweep experiments/quickstart.yaml --scale embedded

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

test-vllm: $(VLLM_VENV)/installed-test
	$(VLLM_VENV)/bin/python -m pytest tests/test_engine_vllm.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy paw_bench analysis

reference: $(VENV)/installed
	$(BIN)/python docs/make_reference.py

# The data of every table and figure; pictures, and the pages that show them, depend on matplotlib's version.
STUDIES = $(patsubst %/sweep.json,%,$(wildcard results/embedded/*/sweep.json))
DATA = find * -type f ! -name '*.png' ! -name '*.pdf' ! -name 'report.*' ! -name SHA256SUMS | LC_ALL=C sort

report: $(VENV)/installed
	@for study in $(STUDIES); do \
	  $(BIN)/python -m analysis $$study && (cd $$study/report && sha256sum --quiet --check ../report.sha256) || exit 1; \
	  echo "$$study: the data of every table and figure are as recorded"; echo; \
	done

report-sums: $(VENV)/installed
	@for study in $(STUDIES); do \
	  $(BIN)/python -m analysis $$study && (cd $$study/report && sha256sum $$($(DATA)) >../report.sha256) || exit 1; \
	done

release-check: $(VENV)/installed-test
	$(BIN)/python tests/release.py

faults: $(VENV)/installed-test
	$(BIN)/python tests/fault_campaign.py --faults $(N) --seed $(SEED) --log build/faults.jsonl

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "paw_bench needs Python >= 3.11; try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): some minutes (two packages are compiled)"
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) --editable '.[test]'
	@touch $@

# An environment of its own: TRL imports vLLM wherever it is installed, which takes every command ten seconds. The two
# files hold all that is needed, so nothing has to be resolved.
$(VLLM_VENV)/installed-test: BIN := $(VLLM_VENV)/bin
$(VLLM_VENV)/installed-test: pyproject.toml constraints.txt requirements-vllm.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(INSTALL) --no-deps --requirement constraints.txt --requirement requirements-vllm.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist .pytest_cache .ruff_cache .mypy_cache
