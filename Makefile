# make demo: from simulated recordings to verdicts, in minutes. make test: lint and all tests.
# Both make .venv first if it is not there; they need Python 3.10 or newer with its venv module.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test lint clean

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

test: lint
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): setup.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv demo build dist *.egg-info .pytest_cache .ruff_cache
