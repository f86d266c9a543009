# The commands for people who build this. `make help` lists them; what they do is in scripts.

NAME ?= selfhost
CONFIG ?=
# A version that tests/bed/versions.py lists; empty: the newest.
KUBERNETES ?=
# Workers for tests on clusters: each has clusters of its own, of 2 GB and about a core. Tests that count
# lost requests have the machine for themselves.
WORKERS ?= 2
# PYTEST_ARGS="-k name" runs a part of the tests.
PYTEST_ARGS ?=

python = $$(tests/bed/venv)
bed = PYTHONPATH=tests $(python) -m bed
# What a person gets, not the tree.
packaged = KUBECTL_SELFHOST=dist/kubectl-selfhost PYTHONPATH=tests:. $(python) -m

.DEFAULT_GOAL := help
.PHONY: help agents bench clean cluster delete-cluster demo lint matrix package soak test test-cluster test-package \
	test-unit

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 16

cluster: ## a kind cluster: NAME=..., if you like CONFIG=kind.yaml, KUBECONFIG=file, KUBERNETES=v1.36.4
	@$(bed) create $(NAME) $(if $(CONFIG),--config $(CONFIG)) $(if $(KUBERNETES),--kubernetes $(KUBERNETES))

delete-cluster: ## delete the cluster NAME=...
	@$(bed) delete $(NAME)

demo: package ## a cluster, its pivot, its status; KEEP=1 keeps the cluster
	@$(packaged) bed.demo $(if $(KEEP),--keep)

test: test-unit test-package test-cluster ## all tests, the quick ones first

test-unit: agents ## the tests that need no cluster
	@$(python) -m pytest -n auto tests/unit $(PYTEST_ARGS)

test-package: agents ## the tests of the zipapp, with krew and every Python of this machine
	@$(python) -m pytest tests/package $(PYTEST_ARGS)

test-cluster: agents ## the tests on real clusters
	@$(bed) prepare
	@$(python) -m pytest -n $(WORKERS) --dist loadfile -m "not soak and not matrix and not alone" tests/cluster $(PYTEST_ARGS)
	@$(python) -m pytest -m "not soak and not matrix and alone" tests/cluster $(PYTEST_ARGS)

agents: ## the node agent and the probe's program for five CPUs
	@$(python) packaging/agent/build.py

lint: ## style, types, layers
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@$$(dirname $(python))/lint-imports

package: ## dist/: the zipapp, the krew archive and its manifest
	@$(python) packaging/package.py

bench: package ## times, and kubeadm's way beside ours: ROUNDS=3, WAYS="seamless ...", OUT=file.json
	@$(packaged) bed.bench --rounds $(or $(ROUNDS),3) $(if $(WAYS),--ways $(WAYS)) $(if $(OUT),--out $(OUT))

soak: package ## hours: pivots of new clusters, again and again (ROUNDS=10), and kills at every step
	@$(packaged) bed.soak --rounds $(or $(ROUNDS),10)
	@$(python) -m pytest -m soak tests/cluster $(PYTEST_ARGS)

matrix: package ## an hour: a whole life on each Kubernetes version; KUBERNETES=v1.36.4: on this one
	@$(python) -m pytest -m matrix tests/cluster/test_whole_life.py $(if $(KUBERNETES),-k $(KUBERNETES)) $(PYTEST_ARGS)

clean: ## what was built in the tree; CACHE=1 also what was built beside it
	@rm -rf dist build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	@rm -f kubectl_selfhost/node/binaries/agent-* kubectl_selfhost/node/binaries/reach-*
	@$(if $(CACHE),$(bed) clear-cache)
