# The same verbs at home and in CI. Needs python3 (3.11 or newer) with venv, and make; all else comes from pip.
#   make demo      install, then show lmkit on a bundled book
#   make test      install the test tools too, then lint, types, tests and docs; make test-all adds the slow tests
#   make install   .venv with lmkit and every plugin of plugins/, editable: the checkout is what runs
#   make docs      the documentation, as pages in docs/_build; a warning is an error
#   make test-faults  kills, damage, full disks, signals, cut wires, fuzz: TIER=quick (minutes), nightly or release
#   make lint, make types, make bench, make clean

PYTHON      ?= python3
CONSTRAINTS ?= constraints.txt
VENV        := .venv
TIER        ?= quick
BIN         := $(VENV)/bin
PLUGINS     := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PACKAGES    := lmkit $(foreach plugin,$(PLUGINS),$(plugin)/$(subst -,_,$(notdir $(plugin))))
EDITABLE    := $(addprefix -e ./,$(PLUGINS))
MANIFESTS   := pyproject.toml $(addsuffix /pyproject.toml,$(PLUGINS)) $(filter-out /dev/null,$(CONSTRAINTS))

.PHONY: install demo test test-all test-faults lint types docs bench clean

install: $(VENV)/installed

demo: install
	$(BIN)/lmkit demo

test: lint types docs
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: lint types
	$(BIN)/python -m pytest -n 2

test-faults: $(VENV)/installed-test
	$(BIN)/python -m tests.faults $(TIER)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy $(PACKAGES) benchmarks

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Stamps: each is newer than what it was made from, so that a second make has nothing to do.

$(VENV)/created:
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; \
	sys.version_info >= (3, 11) or sys.exit("lmkit needs Python 3.11 or newer; $(PYTHON) is Python " + v + \
	". Name another one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	{ echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created $(MANIFESTS)
	$(BIN)/pip install -c $(CONSTRAINTS) -e '.[near,playground,report]' $(EDITABLE)
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-test
	$(BIN)/pip install -c $(CONSTRAINTS) -e '.[bench]'
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/pip install -c $(CONSTRAINTS) -e '.[docs]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/pip install -c $(CONSTRAINTS) -e '.[test]'
	@touch $@
