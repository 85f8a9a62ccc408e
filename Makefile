# make demo: from simulated recordings to classified cells, in minutes. make test: lint and all tests.
# make paper: the published experiment, ending in the published figures beside ours; see docs/reproduce.md.
# make real: real spike shapes of known types under simulated noise, told apart; see docs/evaluation.md.
# make quick: lint and the quick tests. make fuzz SECONDS=600: reads changed files of each kind.
# make bench: the three benchmarks of speed, in 8 minutes, each ratio beside that of before; see docs/performance.md.
# make scale: how the cost of a build grows, in 5 minutes and 10 GB of disk; see docs/performance.md.
# make dist: the source distribution and the wheel, in dist.
# make docs: the documentation as a site, in the folder site.
# make lock: rewrites constraints.txt and constraints-hashed.txt from setup.py. make licences: rewrites docs/licences.md.
# All make .venv first if it does not exist; they need Python 3.10 to 3.13 with its venv module. For a second Python beside
# the first: make quick PYTHON=python3.12 VENV=.venv-3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# If empty, simulates recordings with the published numbers of cells.
RECORDINGS ?=
PAPER ?= $(if $(RECORDINGS),paper_recorded,paper)
PAPER_SYNTHETIC ?= synthetic_small
PAPER_PROTOCOL ?= published
# A scale for two cores; the authors' is in trainer/configs/paper_original.py and paper_synthetic.py.
# As published, all members train on the same cells, on spikes as they are.
PAPER_FLAGS ?= --config.precision=mixed_bfloat16 --config.examples_per_epoch=30328 --config.epochs=8 \
    --config.held_out_days=0 "--config.augment=()"

# The CSV files of real mean spikes, and the types that play SER and NSER: E,FS or E,SOM or E,FS+SOM.
REAL ?= ../shared/data/juxtacellular
PAIR ?= E,FS
COMMA := ,
REAL_DIR = real/$(subst $(COMMA),-,$(PAIR))

# The version of the datasets, a folder in their paths.
DATASETS_VERSION := $(shell sed -n "s/^VERSION = '\(.*\)'/\1/p" beam_pipelines/datasets/configs.py)

# Python is to keep what it compiles: otherwise every process would compile TensorFlow again, for ten seconds and more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo paper real test quick quick-tests fuzz bench scale docs lint lock licences dist clean

# Two models are trained, one on synthetic spikes and one on recorded spikes alone, and compared on other days' cells.
# STAGE says which of the stages begins, and how long the rest takes.
demo: STAGE = $(BIN)/python -m scripts.demo_stage
demo: $(INSTALLED)
	rm -rf demo
	@$(STAGE) 1
	$(BIN)/sero-simulate --output_dir demo/recordings --profile demo
	@$(STAGE) 2
	$(BIN)/sero-build --recordings demo/recordings --data_dir demo/data
	@$(STAGE) 3
	$(BIN)/sero-verify demo/data/sero_spikes
	@$(STAGE) 4
	$(BIN)/sero-train --config trainer/configs/demo.py --config.train_on=original \
	    --data_dir demo/data --workdir demo/original
	@$(STAGE) 5
	$(BIN)/sero-train --config trainer/configs/demo.py --data_dir demo/data --workdir demo/synthetic
	@$(STAGE) 6
	$(BIN)/sero-evaluate --workdir demo/synthetic --baseline_workdir demo/original --data_dir demo/data
	@$(STAGE) end

# A second run resumes: finished recordings, datasets and training are kept.
paper: $(INSTALLED)
	$(if $(RECORDINGS),,test -e $(PAPER)/recordings/SIMULATED.json || \
	    $(BIN)/sero-simulate --output_dir $(PAPER)/recordings --profile paper)
	test -e $(PAPER)/data/sero_spikes/$(PAPER_SYNTHETIC)/$(DATASETS_VERSION)/dataset_info.json || \
	    $(BIN)/sero-build --recordings $(or $(RECORDINGS),$(PAPER)/recordings) --data_dir $(PAPER)/data \
	    --configs original,non_homogeneous,$(PAPER_SYNTHETIC) --protocol=$(PAPER_PROTOCOL) --allow_rejected
	$(BIN)/sero-train --config trainer/configs/default.py --config.train_on=original $(PAPER_FLAGS) \
	    --data_dir $(PAPER)/data --workdir $(PAPER)/original
	$(BIN)/sero-train --config trainer/configs/default.py --config.train_on=$(PAPER_SYNTHETIC) $(PAPER_FLAGS) \
	    --data_dir $(PAPER)/data --workdir $(PAPER)/synthetic
	$(BIN)/sero-evaluate --workdir $(PAPER)/synthetic --baseline_workdir $(PAPER)/original --data_dir $(PAPER)/data
	$(BIN)/python -m trainer.published.table $(PAPER)/synthetic $(PAPER)/original

# A second run goes on, as with paper.
real: $(INSTALLED)
	@test -e $(REAL_DIR)/recordings/REAL_SHAPES.json || test -e "$(REAL)/waveforms.csv" || \
	    { echo 'There is no $(REAL)/waveforms.csv. docs/evaluation.md says where the files are; then: make real REAL=FOLDER'; \
	    exit 1; } >&2
	test -e $(REAL_DIR)/recordings/REAL_SHAPES.json || \
	    $(BIN)/sero-simulate --output_dir $(REAL_DIR)/recordings --waveforms "$(REAL)" --pair $(PAIR)
	test -e $(REAL_DIR)/data/sero_spikes/synthetic_small/$(DATASETS_VERSION)/dataset_info.json || \
	    $(BIN)/sero-build --recordings $(REAL_DIR)/recordings --data_dir $(REAL_DIR)/data \
	    --configs original,synthetic_small
	$(BIN)/sero-evaluate --cross_validate=day --folds=5 --config trainer/configs/real.py \
	    --data_dir $(REAL_DIR)/data --workdir $(REAL_DIR)/run
	$(BIN)/python -m benchmarks.real_shapes --recordings $(REAL_DIR)/recordings --workdir $(REAL_DIR)/run

# Two workers, for two cores. A file stays with one worker, so its fixtures are made once; session fixtures are made once
# for both. tests/conftest.py sets the order. A worker that dies ends the tests; pytest-xdist would wait for ever.
test: lint
	$(BIN)/python -m pytest --numprocesses 2 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder

# For the daily loop: the tests that need neither training nor Beam's runners.
quick: lint quick-tests
quick-tests: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses 2 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder -m "not slow and not runs"

# Changed recordings, datasets, runs and config fields, for so long; see docs/reliability.md. ONLY=nwb,config.json picks.
SECONDS ?= 600
SEED ?= 0
ONLY ?=
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS) --seed $(SEED) $(if $(ONLY),--only $(ONLY))

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.ratios

scale: $(INSTALLED)
	$(BIN)/python -m benchmarks.build_scale

# The documentation as a site, in the folder site: open site/index.html. A broken link or anchor ends it with an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(INSTALLED): setup.py constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

# pip installs only uv, whose version is in constraints.txt too; uv installs everything else.
$(BIN)/uv:
	@$(PYTHON) -c '' 2>/dev/null || { echo 'There is no $(PYTHON) here; $(OTHER_PYTHON)'; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and \
	    "Python %d.%d is not supported; " % sys.version_info[:2] + "$(OTHER_PYTHON)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) has no venv module; $(VENV_PACKAGE)'; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

VENV_PACKAGE = install it, on Debian and Ubuntu with: apt install python3-venv
OTHER_PYTHON = name one from 3.10 to 3.13, as in: make PYTHON=python3.12

# pyenv's python3.12 runs only if that version is selected.
ifneq ($(filter python3.%,$(PYTHON)),)
$(BIN)/uv: export PYENV_VERSION = $(PYTHON:python%=%)
endif

# One file for all Pythons, with markers where they differ. A version changes only if setup.py requires it or its line
# was deleted from constraints.txt. The second file has the same versions and the hashes of their files, for .ci/run.
COMPILE = $(BIN)/uv pip compile --quiet --python $(BIN)/python --universal --python-version 3.10 --all-extras \
    --no-annotate --custom-compile-command 'make lock'
lock: | $(BIN)/uv
	$(COMPILE) --output-file constraints.txt setup.py
	$(COMPILE) --constraint constraints.txt --generate-hashes --output-file constraints-hashed.txt setup.py

licences: $(INSTALLED)
	$(BIN)/python -m scripts.licences

dist: $(INSTALLED)
	rm -rf dist
	$(BIN)/python -m build --installer uv

clean:
	rm -rf .venv .venv-* demo paper paper_recorded real site build dist *.egg-info .pytest_cache .ruff_cache
