# Each target sets up what it needs: a virtual environment in .venv, filled from the hashed requirements.

PYTHON := $(firstword $(foreach python,python3 python3.11 python3.12 python3.13 python3.14,\
  $(shell $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all:

.PHONY: run test check chaos bench fix manifest audit chromium postgresql
.DEFAULT_GOAL := run

# With a Slack token in the environment or .env, Bobbin; without one, the sandbox and the address of its page.
run: .venv/.installed
	@if [ -n "$$SLACK_BOT_TOKEN" ] || grep -Eqs "^(export )?SLACK_BOT_TOKEN *= *[\"']?[^\"' ]" .env; \
	then exec .venv/bin/python -m bot; else exec .venv/bin/python -m bot sandbox; fi

# Most tests wait for processes: six at a time keep two cores busy. tests/conftest.py deals them out.
test: .venv/.installed-dev chromium postgresql
	@.venv/bin/python -m pytest -n 6 $(ARGS)

# Kills, crash points and faults: WHAT=kills (ROUNDS of them), points, pairs, soak (ROUNDS turns), ledger (ROUNDS kills)
# or restarts (ROUNDS, of PostgreSQL); SEED plays it again. DATABASE=postgres: there (not the ledger), kills of 3 WORKERS.
chaos: .venv/.installed-dev $(if $(filter postgres,$(DATABASE))$(filter restarts,$(WHAT)),postgresql)
	@.venv/bin/python -m tests.chaos $(or $(WHAT),kills) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(DATABASE),--database $(DATABASE)) $(if $(WORKERS),--workers $(WORKERS))

# Speed, load, growth, cost, beside a floor: writes docs/performance.md. WHAT=latency (load, burst, workers, growth,
# limits, money, profile) measures a part.
bench: .venv/.installed-dev $(if $(filter workers,$(or $(WHAT),workers)),postgresql)
	@.venv/bin/python -m tests.bench $(WHAT)

check: .venv/.installed-dev
	@.venv/bin/ruff format --check --quiet
	@.venv/bin/ruff check --quiet
	@.venv/bin/mypy
	@.venv/bin/lint-imports

fix: .venv/.installed-dev
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format
	@.venv/bin/ruff check

manifest: .venv/.installed
	@.venv/bin/python -m bot manifest

# Known weaknesses of what is pinned; where PyPI's advisories cannot be asked it says so, and is no failure.
audit: .venv-audit/.installed
	@.venv-audit/bin/python .ci/audit.py

.venv-audit/.installed: requirements-audit.txt
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r $<
	@touch $@

.venv/.installed: requirements.txt | .venv/bin/pip
	@echo "Installing what Bobbin needs into .venv (once)" >&2
	@$(PIP) -r $<
	@touch $@

.venv/.installed-dev: requirements-dev.txt | .venv/bin/pip
	@echo "Installing what its tests and checks need into .venv (once)" >&2
	@$(PIP) -r $<
	@touch $@

# The tests of the sandbox's page look at it with a browser.
chromium:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's package chromium" >&2; \
	    { apt-get update && apt-get install -y --no-install-recommends chromium fonts-dejavu-core \
	      fonts-noto-color-emoji; } >/dev/null 2>&1; \
	  else echo "The tests need chromium on the PATH: install it, then run make test again." >&2; exit 1; fi; }

# They run on a PostgreSQL server of their own, and by way of a PgBouncer. Only the programs are used.
postgresql:
	@{ [ -n "$(wildcard /usr/lib/postgresql/*/bin/initdb)" ] || command -v initdb >/dev/null; } \
	  && PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's packages postgresql and pgbouncer" >&2; \
	    { apt-get update && apt-get install -y --no-install-recommends postgresql pgbouncer; } >/dev/null 2>&1; \
	  else echo "The tests need PostgreSQL's server and PgBouncer: install them, then run make test again." >&2; \
	    exit 1; fi; }

# Debian splits venv from Python. A venv made without pip is a half one: it is taken away again.
.venv/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "Bobbin needs Python 3.11 or newer on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's package python3-venv" >&2; \
	    { apt-get update && apt-get install -y python3-venv; } >/dev/null 2>&1; \
	    $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }; \
	  else echo "Python cannot make a virtual environment: install python3-venv, then run make again." >&2; exit 1; fi; }
