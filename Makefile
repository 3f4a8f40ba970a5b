# Everything that people and CI run. Written for GNU make 3.81 and later, since that is what macOS has.
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup chat serve test lint types requirements generated clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/make \1	\2/' | expand -t 20

# Pinned packages in a virtual environment; done again only when the pins have changed.
$(READY): pyproject.toml constraints.txt
	@tools/make_environment.sh $(VENV) constraints.txt
	@touch $@

setup: $(READY) ## Only prepare the virtual environment; every other command does it too
	@:

chat: $(READY) ## Chat in the terminal; options go in ARGS="…"
	@tools/with_environment_file.sh $(RUN)/sluice $(ARGS)

serve: $(READY) ## Start only the function, on http://127.0.0.1:8080
	@tools/with_environment_file.sh $(RUN)/functions-framework --source function/main.py --target chat --host 127.0.0.1

test: $(READY) ## Run every test and check the coverage
	@$(RUN)/coverage erase
	@$(RUN)/coverage run -m pytest -n 2 --dist loadgroup
	@$(RUN)/coverage combine --quiet
	@$(RUN)/python tools/check_coverage.py

lint: $(READY) ## Check style and formatting
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .

types: $(READY) ## Check types
	@$(RUN)/mypy

requirements: ## Pin the packages anew, after a change to the dependencies in pyproject.toml
	@tools/make_environment.sh $(VENV)
	@$(RUN)/python tools/generate_requirements.py
	@touch $(READY)

generated: $(READY) ## Write .env.example and docs/errors.md anew
	@$(RUN)/python tools/generate_env_example.py
	@$(RUN)/python tools/generate_error_docs.py

clean: ## Remove the virtual environment and everything else that was made
	@rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find function tui tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
