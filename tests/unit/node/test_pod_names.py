"""The names of our pods on a node, whatever the node is called."""

from __future__ import annotations

import re

import pytest

from kubectl_selfhost.node import pod
from kubectl_selfhost.probe import from_a_pod

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: Node names are DNS subdomains of at most 253 characters.
LONG = [f"{'n' * at}.{'m' * 40}-x.example.com" for at in range(1, 45)]
DASHES = [f"{'n' * at}-{'m' * 40}" for at in range(1, 45)]


@pytest.mark.parametrize("name", [pod.pod_name, from_a_pod.pod_name])
@pytest.mark.parametrize("node", ["cp-1", "a.b", "1.2.3", "x" * 253, *LONG, *DASHES])
def test_it_is_a_name_that_a_host_may_have(name, node):
    assert LABEL.fullmatch(name(node))


@pytest.mark.parametrize("name", [pod.pod_name, from_a_pod.pod_name])
def test_each_node_has_its_own(name):
    nodes = ["cp-1", "a.b", "a-b", *LONG, *DASHES]
    assert len({name(node) for node in nodes}) == len(nodes)


def test_it_says_whose_it_is_and_on_which_node():
    assert pod.pod_name("cp-1") == "kubectl-selfhost-agent-cp-1"


def test_what_an_earlier_build_left_is_found():
    assert pod.former_pod_name("cp-1") == "node-debugger-selfhost-cp-1"
