# Everything that people and CI run. Written for GNU make 3.81 and later, since that is what macOS has.
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin
CLIENTS := tests/end_to_end/clients
CLIENTS_VENV := .venv-clients

.DEFAULT_GOAL := help
.PHONY: help setup clients chat serve test lint types bench benchguard requirements clientpins generated screenshots clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/make \1	\2/' | expand -t 20

# Pinned packages in a virtual environment; done again only when the pins have changed.
$(READY): pyproject.toml constraints.txt
	@tools/make_environment.sh $(VENV) constraints.txt
	@touch $@

setup: $(READY) ## Only prepare the virtual environment; every other command does it too
	@:

# Programs of others that the tests run against the function. Without node, its part is left out and its tests are skipped.
clients: $(CLIENTS_VENV)/.ready $(CLIENTS)/node_modules/.ready ## Install the clients of others that the tests run
	@:

$(CLIENTS_VENV)/.ready: $(CLIENTS)/requirements.txt $(CLIENTS)/constraints.txt | $(READY)
	@echo "Installing the Python clients that the tests run"
	@$(RUN)/python -m venv --clear $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip install -qq --disable-pip-version-check -r $(CLIENTS)/requirements.txt -c $(CLIENTS)/constraints.txt
	@touch $@

$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@tools/install_node_clients.sh $(CLIENTS)

chat: $(READY) ## Chat in the terminal; options go in ARGS="…"
	@tools/with_environment_file.sh $(RUN)/sluice $(ARGS)

serve: $(READY) ## Start only the function, on http://127.0.0.1:8080
	@tools/with_environment_file.sh $(RUN)/functions-framework --source function/main.py --target chat --host 127.0.0.1

# Twice as many workers as the cores that CI has: most tests wait, for clocks or for servers.
test: $(READY) clients ## Run every test and check the coverage
	@$(RUN)/coverage erase
	@$(RUN)/coverage run -m pytest -n 3 --dist loadgroup --no-loadscope-reorder
	@$(RUN)/coverage combine --quiet
	@$(RUN)/python tools/check_coverage.py

lint: $(READY) ## Check style and formatting
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .

types: $(READY) ## Check types
	@$(RUN)/mypy

bench: $(READY) ## Measure the function beside nginx, a tutorial's gateway and LiteLLM, for an hour; ARGS="paced" for a part
	@$(RUN)/python -m bench $(or $(ARGS),all --keep)

benchguard: $(READY) ## Check within a minute that relaying has not become much dearer
	@$(RUN)/python -m bench.guard

requirements: ## Pin the packages anew, after a change to the dependencies in pyproject.toml
	@tools/make_environment.sh $(VENV)
	@$(RUN)/python tools/generate_requirements.py
	@touch $(READY)

clientpins: $(READY) ## Pin the clients of others anew, after a change to their requirements.txt or package.json
	@$(RUN)/python -m venv --clear $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip install -qq --disable-pip-version-check -r $(CLIENTS)/requirements.txt
	@echo '# Written by `make clientpins`.' > $(CLIENTS)/constraints.txt
	@$(CLIENTS_VENV)/bin/python -m pip freeze --all --exclude pip >> $(CLIENTS)/constraints.txt
	@touch $(CLIENTS_VENV)/.ready
	@cd $(CLIENTS) && npm install --package-lock-only

generated: $(READY) ## Write .env.example and the tables in README.md and docs/ anew
	@$(RUN)/python tools/generate_env_example.py
	@$(RUN)/python tools/generate_error_docs.py
	@$(RUN)/python tools/generate_api_docs.py
	@$(RUN)/python tools/generate_settings_docs.py
	@$(RUN)/python tools/generate_capacity.py

screenshots: $(READY) ## Take the pictures of the terminal and of the page in docs/images anew; the latter needs Chromium
	@$(RUN)/python tools/take_screenshots.py
	@$(RUN)/python -m tests.browser.screenshots

clean: ## Remove the virtual environment and everything else that was made
	@rm -rf $(VENV) $(CLIENTS_VENV) $(CLIENTS)/node_modules build bench/build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find function tui tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
