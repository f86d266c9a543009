"""On which node a leader runs, by the name that it gives itself."""

from __future__ import annotations

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.values import hosts


def node(name: str, *, hostname: str = "", label: str = "") -> dict:
    made = api.node(name, labels={"kubernetes.io/hostname": label} if label else {})
    made["status"]["addresses"] = [{"type": "Hostname", "address": hostname or name}]
    return made


def on(holder: str, *nodes: dict) -> list[str]:
    """Return the names of the nodes on which ``holder`` is said to run."""
    names = [one["metadata"]["name"] for one in nodes]
    return [name for name in names if hosts.among(name, nodes).runs(f"{holder}_5f0c")]


AWS = [node(f"ip-10-0-0-{n}.ec2.internal") for n in (1, 11, 12)]


@pytest.mark.parametrize("n", [1, 11, 12])
def test_a_short_host_name_is_its_long_nodes(n: int):
    assert on(f"ip-10-0-0-{n}", *AWS) == [f"ip-10-0-0-{n}.ec2.internal"]
    assert on(f"IP-10-0-0-{n}.ec2.internal", *AWS) == [f"ip-10-0-0-{n}.ec2.internal"]


def test_a_long_host_name_is_its_short_nodes():
    assert on("cp-1.example.org", node("cp-1"), node("cp-11"), node("cp-2")) == ["cp-1"]


def test_what_the_kubelet_calls_its_host_counts():
    assert on("box-1", node("a", hostname="box-1"), node("b", hostname="box-2")) == ["a"]
    assert on("box-1.lan", node("a", label="box-1"), node("b", label="box-2")) == ["a"]


@pytest.mark.parametrize(
    ("holder", "nodes"),
    [
        ("ubuntu", [node("a"), node("b")]),
        ("cp-1", [node("cp-1.east.example"), node("cp-1.west.example")]),
        ("cp-1.old.example", [node("cp-1.new.example"), node("cp-2.new.example")]),
        ("debian", [node("a", hostname="debian"), node("b", hostname="debian")]),
        ("cp-1.a", [node("cp-1"), node("cp-1.a.example")]),
        ("cp-1.a.example", [node("cp-1.a"), node("cp-1.a.example")]),
        ("cp", [node("cp-1"), node("cp-2")]),
        ("", [node("a"), node("b")]),
    ],
)
def test_what_is_not_certain_is_on_no_node(holder: str, nodes: list[dict]):
    assert on(holder, *nodes) == []


def test_an_identity_without_a_host_is_on_no_node():
    assert not hosts.among("a", [node("a"), node("b")]).runs("a")
