# Two commands need nothing but Python 3.11, pip, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check docs format serve up down clean lock

# Installs exactly what the lock names, by uv or by pip; done again only when the lock or the package's metadata changes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: python: 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python tools/install.py
	@touch $@

demo: $(READY)
	$(BIN)/lethe demo

serve: $(READY)
	$(BIN)/lethe serve

# What deploy/Procfile names, on this machine and in the background: Prefect's server, what is scheduled, two replicas.
up: $(READY)
	@PATH="$(abspath $(BIN)):$$PATH" sh deploy/up.sh start

down:
	@sh deploy/up.sh stop

test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site in site/, without a network; a link that leads nowhere fails it.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Resolve the newest versions that pyproject.toml allows, in a clean environment, and write them down.
lock:
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet '.[data,dask,docs,postgres,s3,up,dev]'
	.lock-venv/bin/pip freeze --exclude lethe-recsys > requirements.lock
	# Each build of torch for CUDA wants one version of Triton and brings it along; the CPU's build goes with any.
	sed -i 's/^triton==.*/triton>=3.6/' requirements.lock
	rm -rf .lock-venv

# Everything the product wrote at run time, but not the environment.
clean:
	-$(BIN)/lethe stop
	rm -rf .lethe data artifacts reports certificates site dvc.lock suppression/list.csv .dvc/cache .dvc/tmp .dvc/site-cache
