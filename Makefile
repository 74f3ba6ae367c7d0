# One command each: `make run` shows the lab, `make test` proves it. Both set everything up first.
PY := .venv/bin/python

.PHONY: run test check bench setup browser clean

run: .venv/.ready
	@$(PY) -m engine serve --demo

test: .venv/.ready-dev browser
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(CATALOGUE),--catalogue $(CATALOGUE)) $(PYTEST)

check: .venv/.ready-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: .venv/.ready
	$(PY) -m engine bench

setup: .venv/.ready-dev

browser: .venv/.ready-dev
	@bin/browser

.venv/.ready: requirements.txt bin/setup
	@bin/setup requirements.txt
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt
	@bin/setup requirements-dev.txt
	@touch $@

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
