# The verbs of this repository. Each works in a clone with nothing installed but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup demo test slow scale spark check bench docs screenshots lock clean
setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/lemnis demo

# Bytecode is kept: each process that a test starts would compile all of Lemnis anew.
test slow scale: export PYTHONDONTWRITEBYTECODE :=

# A worker more than there are cores: tests often wait for processes and timers.
test: setup
	$(BIN)/python -m pytest -n $$($(BIN)/python -c 'import os; print(1 + (os.cpu_count() or 1))') --dist worksteal -m "not scale and not slow"

# Campaigns that kill again and again, and what else takes a minute a test.
slow: setup
	$(BIN)/python -m pytest -n auto --dist worksteal -m "slow and not scale"

# Tests that start a cluster: three NATS servers, PostgreSQL, S3, and the processes that work on them.
scale: setup
	$(BIN)/python -m pytest -n 0 -m scale tests/scale

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

# Tests on a Spark cluster of this machine's own; needs Java 17+ and Maven. The environment is that of `setup`, and
# PySpark besides, with the jars by which Spark reads Delta tables.
SPARK := .venv-spark

spark: setup $(SPARK)/.ready
	$(SPARK)/bin/python -m pytest -n 0 -m spark tests/spark

$(SPARK)/.ready: requirements/spark.txt requirements/spark-jars.xml requirements/spark-jars.sha256
	$(PYTHON) -m venv $(SPARK)
	$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/spark.txt
	$(SPARK)/bin/python -c 'import site; from pathlib import Path; \
	  other = next(Path("$(VENV)").resolve().glob("lib/python*/site-packages")); \
	  Path(site.getsitepackages()[0], "lemnis.pth").write_text(f"import site; site.addsitedir({str(other)!r})\n")'
	mvn --quiet --batch-mode --file requirements/spark-jars.xml dependency:copy-dependencies \
	  -DoutputDirectory=$(CURDIR)/$(SPARK)/jars
	cd $(SPARK)/jars && sha256sum --check --quiet $(CURDIR)/requirements/spark-jars.sha256
	cp $(SPARK)/jars/*.jar $(SPARK)/lib/python*/site-packages/pyspark/jars
	touch $@

bench: setup
	$(BIN)/lemnis bench hunt

docs: setup
	$(BIN)/python docs/generate.py

# docs/gallery.md and its pictures, every page with the demo's data; needs Chromium and `pip install 'lemnis[browser]'`.
screenshots: setup
	$(BIN)/python docs/screenshots.py

# Pins every dependency by version and hash; needs uv (`pip install uv`).
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra aws --extra browser --extra console --extra fast --extra grpc --extra kafka --extra lsp --extra nats --extra scan --extra sigstore --extra dev pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  requirements/spark.in -o requirements/spark.txt

clean:
	rm -rf $(VENV) $(SPARK) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
