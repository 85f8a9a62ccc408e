# make demo: from simulated recordings to verdicts, in minutes. make test: lint and all tests; make quick: the quick ones.
# make paper: the published experiment, ending in the published figures beside ours; see docs/reproduce.md.
# All make .venv first if it is not there; they need Python 3.10 or newer with its venv module.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# Empty: simulated recordings with the published numbers of cells are made.
RECORDINGS ?=
PAPER ?= $(if $(RECORDINGS),paper_recorded,paper)
PAPER_SYNTHETIC ?= synthetic_small
PAPER_PROTOCOL ?= published
# A scale for two cores; the authors' is in trainer/configs/paper_original.py and paper_synthetic.py.
PAPER_FLAGS ?= --config.precision=mixed_bfloat16 --config.examples_per_epoch=30328 --config.epochs=8

.PHONY: demo paper test quick lint clean

# Two models are trained, one on synthetic spikes and one on recorded spikes alone, and compared on other days' cells.
demo: $(INSTALLED)
	rm -rf demo
	$(BIN)/sero-simulate --output_dir demo/recordings --profile demo
	$(BIN)/sero-build --recordings demo/recordings --data_dir demo/data -- \
	    --direct_running_mode=multi_processing --direct_num_workers=2
	$(BIN)/sero-verify demo/data/sero_spikes
	$(BIN)/sero-train --config trainer/configs/demo.py --config.train_on=original \
	    --data_dir demo/data --workdir demo/original
	$(BIN)/sero-train --config trainer/configs/demo.py --data_dir demo/data --workdir demo/synthetic
	$(BIN)/sero-evaluate --workdir demo/synthetic --baseline_workdir demo/original --data_dir demo/data

# Given again it goes on: finished recordings and datasets are kept, and so is what is trained.
paper: $(INSTALLED)
	$(if $(RECORDINGS),,test -e $(PAPER)/recordings/SIMULATED.json || \
	    $(BIN)/sero-simulate --output_dir $(PAPER)/recordings --profile paper)
	test -e $(PAPER)/data/sero_spikes/$(PAPER_SYNTHETIC)/1.0.0/dataset_info.json || \
	    $(BIN)/sero-build --recordings $(or $(RECORDINGS),$(PAPER)/recordings) --data_dir $(PAPER)/data \
	    --configs original,non_homogeneous,$(PAPER_SYNTHETIC) --protocol=$(PAPER_PROTOCOL) --allow_rejected -- \
	    --direct_running_mode=multi_processing --direct_num_workers=2
	$(BIN)/sero-train --config trainer/configs/default.py --config.train_on=original $(PAPER_FLAGS) \
	    --data_dir $(PAPER)/data --workdir $(PAPER)/original
	$(BIN)/sero-train --config trainer/configs/default.py --config.train_on=$(PAPER_SYNTHETIC) $(PAPER_FLAGS) \
	    --data_dir $(PAPER)/data --workdir $(PAPER)/synthetic
	$(BIN)/sero-evaluate --workdir $(PAPER)/synthetic --baseline_workdir $(PAPER)/original --data_dir $(PAPER)/data
	$(BIN)/python -m trainer.published.table $(PAPER)/synthetic $(PAPER)/original

# Two at a time, for two cores. The fixtures of a file are made once, as the file stays with one worker; those of the
# session are made once for both. tests/conftest.py has the order.
test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# For the daily loop: the tests that need neither training nor Beam's runners.
quick: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not slow and not runs"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv demo paper paper_recorded build dist *.egg-info .pytest_cache .ruff_cache
