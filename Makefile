# Everything runs in its own virtual environment: VENV=path uses (or makes) another one.
VENV ?= .venv
PYTHON ?= python3
# The others are not taken from the environment, where WORK is all that a user has on many clusters.
DATA = data
# Where your images, their labels and new images lie, if not under the names of data/README.md.
VOLUME = $(DATA)
LABELS = $(DATA)
TEST =
WORK = work
# Options of unetseg augment and of unetseg train.
AUGMENT =
TRAIN =

BIN := $(VENV)/bin
RUN := $(BIN)/unetseg
STACKS := --volume "$(VOLUME)" --labels "$(LABELS)"

.PHONY: help install pipeline smoke test check torture fuzz starter docs tutorial format clean
.DEFAULT_GOAL := help

help:  ## show what make can do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18
	@echo '  DATA=path uses the stacks in another folder; VOLUME=, LABELS= and TEST= name single ones.'
	@echo '  WORK=path puts the results elsewhere.'
	@echo '  AUGMENT="--unlabelled 255" adds options of unetseg augment, TRAIN="--minutes 5" of unetseg train.'
	@echo '  PYTHON=python3.12 makes .venv with another Python; VENV=path uses another environment.'

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; v = sys.version_info; \
		sys.exit(0 if (3, 11) <= v < (3, 14) else "$(PYTHON): expected Python 3.11 to 3.13, found " \
		+ sys.version.split()[0] + "; name another one, as in make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv "$(VENV)"
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@$(BIN)/python -c 'import elasticdeform' 2>/dev/null || \
		if ! command -v "$${CC:-cc}" >/dev/null; then \
		echo "no C compiler: elasticdeform is not built, unetseg deforms by splines of its own"; \
		elif ! $(BIN)/python -m pip install --quiet --force-reinstall --no-deps \
			--no-binary elasticdeform 'elasticdeform>=0.5.1'; then \
		echo "elasticdeform could not be built: unetseg deforms by splines of its own"; fi
	@touch $@

install: $(VENV)/.installed  ## make the virtual environment and install unetseg in it

pipeline: install  ## run all stages on the stacks in data/, synthetic ones if there are none
	@if [ -n "$(TEST)" ] && [ ! -e "$(TEST)" ]; then \
		echo "TEST: expected a stack or a folder of slices, found no $(TEST)" >&2; exit 1; fi
	@if [ "$(VOLUME:%/=%)" = data ] && [ ! -e data/train-volume.tif ]; then \
		echo "data holds no train-volume.tif: drawing a synthetic stack there"; \
		echo "(for those of ISBI 2012: $(RUN) download --output data/isbi2012,"; \
		echo " then make pipeline DATA=data/isbi2012)"; \
		$(RUN) synthesize --output data; fi
	$(RUN) augment $(STACKS) --output "$(WORK)/augmented" $(AUGMENT)
	$(RUN) preprocess --input "$(WORK)/augmented" --output "$(WORK)/preprocessed"
	$(RUN) train --input "$(WORK)/preprocessed" --output "$(WORK)/model" $(TRAIN)
	@new="$(TEST)"; \
	if [ -z "$$new" ] && [ -e "$(VOLUME)/test-volume.tif" ]; then new="$(VOLUME)"; fi; \
	if [ -n "$$new" ]; then set -ex; \
		$(RUN) predict --model "$(WORK)/model" --volume "$$new" --output "$(WORK)/prediction"; \
		$(RUN) segment --prediction "$(WORK)/prediction" --output "$(WORK)/cells"; \
	else echo "no new images: nothing to predict but the held-out slices"; fi
	$(RUN) evaluate --prediction "$(WORK)/model" --output "$(WORK)/evaluation"
	$(RUN) report --work "$(WORK)"

smoke: install  ## run all stages on a tiny synthetic stack, to see that they fit together
	rm -rf "$(WORK)/smoke"
	$(RUN) synthesize --output "$(WORK)/smoke/data" --slices 4 --test-slices 1 --height 64 --width 96
	$(MAKE) --no-print-directory pipeline DATA="$(WORK)/smoke/data" WORK="$(WORK)/smoke" \
		TRAIN="--epochs 2 --batch-size 2"

test: install  ## run the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist worksteal

check: install  ## lint, types, the floors of the house and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

torture: install  ## kill every stage 200 times, and watch the memory of long runs (an hour and a half)
	$(BIN)/python -m pip install --quiet --editable '.[export]'
	$(BIN)/python tests/torture.py
	$(BIN)/python tests/long_runs.py

fuzz: install  ## let a fuzzer look for files that break the readers, for a quarter of an hour
	$(BIN)/python -m pip install --quiet atheris
	$(BIN)/python tests/fuzz.py tiff -max_total_time=420
	$(BIN)/python tests/fuzz.py npy -max_total_time=90
	for form in hdf5 mrc png zip; do \
		$(BIN)/python tests/fuzz.py $$form -max_total_time=90 || exit 1; done
	$(BIN)/python tests/fuzz.py manifest -max_total_time=90

starter: install  ## draw stacks, and train the model that comes with unetseg on them (two hours)
	$(BIN)/python benchmarks/starter.py --output "$(WORK)/starter" $(if $(wildcard $(DATA)/train-labels.tif),--stacks "$(DATA)")

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs  ## build the documentation, in docs/site/html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env \
		--conf-dir docs --doctree-dir docs/site/doctrees . docs/site/html
	@echo "open docs/site/html/index.html"

tutorial: $(VENV)/.docs  ## run docs/tutorial.ipynb again and keep its pictures (some minutes)
	$(BIN)/python docs/run_tutorial.py

format: install  ## let ruff put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove results, caches and the virtual environment; data/ stays
	rm -rf "$(WORK)" .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build docs/site *.egg-info
	find unetseg tests -name __pycache__ -type d -prune -exec rm -rf {} +
