# Sandbank's menu: `make` alone lists it. Each step is a small script in .make/.
MAKEFLAGS += --no-print-directory
FAST := not docker and not browser and not sdk and not slow
# None of whose tests is fast: the clients alone take seconds to import.
SLOW_TO_LOAD := browser sdk operations

.PHONY: help run test fast check bench fuzz shots pictures format lock vendor clean

help: ## list what there is
	@echo "make TARGET [HOST=127.0.0.1] [PORT=8029] [SANDBANK_DATA=var] [ARGS=...]"
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' Makefile | expand -t 12

run: ## make ready what is missing, then serve on http://127.0.0.1:8029
	@.make/venv
	@.make/engine
	@exec .venv/bin/python manage.py serve

test: ## run every test, the real engine included (ARGS="-k name")
	@.make/venv dev
	@.make/engine
	@.make/npm
	@.make/chromium
	@.venv/bin/python manage.py make_image
	@.venv/bin/python -m pytest $(ARGS)

fast: ## run the tests that need no engine and little time
	@.make/venv dev
	@.venv/bin/python -m pytest -n auto -m "$(FAST)" $(SLOW_TO_LOAD:%=--ignore=tests/%) $(ARGS)

check: ## look for mistakes without running tests: style, types, imports, templates, migrations
	@.make/venv dev
	@.make/check

bench: ## measure against Docker's own tools; the table goes to docs/benchmark.md
	@.make/venv dev
	@.make/engine
	@.venv/bin/python manage.py make_image
	@.venv/bin/python -m tests.bench $(ARGS)

fuzz: ## send thousands of made-up requests to every operation of the API
	@.make/venv dev
	@.make/engine
	@.venv/bin/python manage.py make_image
	@.venv/bin/python -m tests.fuzz $(ARGS)

shots: ## take a picture of every page in every look, into var/shots (ARGS=folder)
	@.make/venv dev
	@.make/engine
	@.make/chromium
	@.venv/bin/python manage.py make_image
	@.venv/bin/python -m tests.browser.shots $(ARGS)

pictures: ## take the pictures that docs/ and the README show
	@.make/venv dev
	@.make/engine
	@.make/chromium
	@.venv/bin/python manage.py make_image
	@.venv/bin/python -m tests.browser.pictures

format: ## put every file into the form that `make check` asks for
	@.make/venv dev
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format --quiet
	@git ls-files -z 'templates/*.html' | xargs -0r .venv/bin/djade --target-version 6.1

lock: ## choose the versions of all dependencies anew (ARGS=--upgrade for the newest)
	@.make/venv dev
	@.make/lock $(ARGS)

vendor: ## copy the browser's libraries into static/vendor anew, by its package-lock.json
	@.make/vendor

clean: ## remove what make made, except the data
	@rm -rf .venv tests/sdk/typescript/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
