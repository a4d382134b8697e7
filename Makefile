# Everything a newcomer needs: `make demo` shows it, `make test` proves it.
# A plain python3 with venv is enough; uv is used when it is on the PATH.

PYTHON ?= python3
BIN := .venv/bin
# The environment is complete when this file is newer than what it was made from.
READY := .venv/.ready

.PHONY: setup demo test matrix compatibility lint types contract notebooks bench site clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
ifneq ($(shell command -v uv),)
	uv venv --quiet --allow-existing --python $(PYTHON) .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	touch $@

# The daily check may find something to warn of on this very machine (exit codes 1 to 3): that is
# its work, and the site shows it. From 4 on the run itself failed.
demo: setup
	$(BIN)/opsnb demo up
	$(BIN)/opsnb run health/daily -t demo || [ $$? -le 3 ]
	$(BIN)/opsnb site build
	@[ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] || $(BIN)/python -m webbrowser -t "file://$(CURDIR)/site/index.html"
	@echo
	@echo "See it:       $(BIN)/opsnb site serve     (or open site/index.html)"
	@echo "Step through: $(BIN)/opsnb lab"
	@echo "Break it:     $(BIN)/opsnb demo fault redis-down, then $(BIN)/opsnb run health/daily -t demo"
	@echo "End it:       $(BIN)/opsnb demo down"

# Four at a time, each with a demo stack of its own, keep two cores busy.
test: lint types contract notebooks
	$(BIN)/pytest -n 4 --dist worksteal

# The systems of other versions and rights that `make test` leaves out.
matrix: setup
	$(BIN)/pytest -n 3 --dist worksteal -m matrix tests/stranger

# The page of what works on which system, made again from all of them.
compatibility: setup
	OPSNB_STRANGER_RECORD=1 $(BIN)/pytest -n 3 --dist worksteal -m "matrix or not matrix" \
	  tests/stranger/test_stranger.py
	$(BIN)/python -m tests.stranger.page

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contract: setup
	$(BIN)/lint-imports

notebooks: setup
	$(BIN)/nbstripout --verify --keep-id notebooks/*/*.ipynb

bench: setup
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

site: setup
	$(BIN)/opsnb site build

clean:
	rm -rf .venv site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
