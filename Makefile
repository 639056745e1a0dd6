# Each target makes the virtual environment that it needs; nothing has to be installed by hand but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := .ci/constraints.txt
# Every run starts processes, and without bytecode each of them would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint docs crash attack lake scale bench clean

demo: $(VENV)/ready  ## the main job on real text: builds triples from installed documentation, ranks their sources
	$(BIN)/eci demo --out demo-out

test: $(VENV)/ready  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/ready  ## style, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/ready  ## the generated parts of the READMEs: commands, columns of the tables
	$(BIN)/python -m tests.docs

crash: $(VENV)/ready  ## kills and failing disks, a hundred rounds; readers through twenty nights
	ECI_CRASH=1 $(BIN)/python -m pytest tests/crash tests/run/test_readers.py -s

attack: $(VENV)/ready  ## everything that damages, forges, spies or deletes, at length; what was tried, found and cured, by kind
	ECI_ATTACK=1 $(BIN)/python -m pytest -m attack -n 2 --dist loadfile --no-loadscope-reorder

lake: $(VENV)/ready-lake  ## tables of a lake in and out, with what reads and writes them, Spark too; kills, a night's cost, versions
	ECI_LAKE=1 $(BIN)/python -m pytest tests/lake -s

scale: $(VENV)/ready  ## millions of triples: linear cost, bounded memory
	ECI_SCALE=1 $(BIN)/python -m pytest tests/scale -s

bench: $(VENV)/ready  ## ratios to the limits of this machine
	$(BIN)/python -m tests.bench

$(VENV)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $@

$(VENV)/ready-lake: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev,lake,lineage,spark]'
	touch $@

clean:  ## the environment and the demo's output
	rm -rf $(VENV) demo-out build *.egg-info
