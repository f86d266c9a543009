"""Manifests that kubeadm wrote, and their mirror pods, for the tests in this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import AgentFacts, NodeFacts

DATA = Path(__file__).parent / "data"
VERSIONS = ("1.20", "1.30", "1.34", "1.37")
EVERY = [(version, component) for version in VERSIONS for component in COMPONENTS]

Read = Callable[[str, Component], dict]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``version`` and ``component`` runs for each manifest that there is."""
    if {"version", "component"} <= set(metafunc.fixturenames):
        ids = [f"{version}-{component}" for version, component in EVERY]
        metafunc.parametrize(("version", "component"), EVERY, ids=ids)


@pytest.fixture
def manifest() -> Read:
    """Reads a manifest as kubeadm wrote it."""
    return lambda version, component: yaml.safe_load(
        (DATA / f"kubeadm-{version}" / f"{component}.yaml").read_text()
    )


@pytest.fixture
def mirror() -> Read:
    """Reads a mirror pod as the API server showed it."""
    return lambda version, component: json.loads(
        (DATA / f"kubeadm-{version}" / f"{component}.mirror.json").read_text()
    )


@pytest.fixture
def agent() -> AgentFacts:
    return AgentFacts(
        "amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost"
    )


@pytest.fixture
def node() -> NodeFacts:
    """The node of the 1.30 manifests."""
    return NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")
