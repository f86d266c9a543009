# The commands for people who build this. `make help` lists them; what they do is in scripts.

NAME ?= selfhost
CONFIG ?=
# Workers for tests on clusters: each has clusters of its own, of 2 GB and about a core.
WORKERS ?= 2
# PYTEST_ARGS="-k name" runs a part of the tests.
PYTEST_ARGS ?=

python = $$(tests/bed/venv)
bed = PYTHONPATH=tests $(python) -m bed
agents = $(python) packaging/agent/build.py

.DEFAULT_GOAL := help
.PHONY: help agents bench clean cluster delete-cluster demo lint package soak test test-cluster test-unit

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 16

cluster: ## a kind cluster: NAME=..., and if you like CONFIG=kind.yaml, KUBECONFIG=file
	@$(bed) create $(NAME) $(if $(CONFIG),--config $(CONFIG))

delete-cluster: ## delete the cluster NAME=...
	@$(bed) delete $(NAME)

demo: agents ## a cluster, its pivot, its status; KEEP=1 keeps the cluster
	@PYTHONPATH=tests:. $(python) -m bed.demo $(if $(KEEP),--keep)

test: test-unit test-cluster ## all tests, the quick ones first

test-unit: agents ## the tests that need no cluster
	@$(python) -m pytest -n auto tests/unit $(PYTEST_ARGS)

test-cluster: agents ## the tests on real clusters
	@$(bed) prepare
	@$(python) -m pytest -n $(WORKERS) --dist loadgroup tests/cluster $(PYTEST_ARGS)

agents: ## the node agent for five CPUs
	@$(agents)

lint: ## style, types, layers
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

package: ## dist/: the zipapp, the krew archive and its manifest
	@$(python) packaging/package.py

bench: agents ## pivot times, the gap a client sees, start-up ratios
	@PYTHONPATH=tests:. $(python) -m bed.bench

soak: agents ## pivots again and again: ROUNDS=... (default 10)
	@PYTHONPATH=tests:. $(python) -m bed.soak --rounds $(or $(ROUNDS),10)

clean: ## what was built in the tree; CACHE=1 also what was built beside it
	@rm -rf dist build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	@rm -f kubectl_selfhost/node/binaries/agent-*
	@$(if $(CACHE),$(bed) clear-cache)
