"""A cluster is Ready when its nodes and all of kubeadm's pods are."""

from __future__ import annotations

from typing import Any

from bed.cluster import not_ready

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def item(name: str, *, ready: bool = True, mirror: bool = False, **labels: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    annotations = {"kubernetes.io/config.mirror": "x"} if mirror else {}
    metadata = {"name": name, "labels": labels, "annotations": annotations}
    return {"metadata": metadata, "status": {"conditions": conditions}}


NODE = item("n", **{CONTROL_PLANE: ""})
STATIC = [item(f"static-{i}", mirror=True) for i in range(4)]
ADDONS = [
    item("proxy", **{"k8s-app": "kube-proxy"}),
    item("coredns", **{"k8s-app": "kube-dns"}),
]


def test_all_ready() -> None:
    assert not_ready([NODE], [*STATIC, *ADDONS]) == ""


def test_a_node_that_is_not() -> None:
    node = item("slow", ready=False, **{CONTROL_PLANE: ""})
    assert not_ready([node], [*STATIC, *ADDONS]) == "not Ready: slow"


def test_a_missing_static_pod() -> None:
    assert "3 of 4 static pods" in not_ready([NODE], [*STATIC[1:], *ADDONS])


def test_a_second_control_plane_node_brings_its_own() -> None:
    assert "4 of 8 static pods" in not_ready([NODE, NODE], [*STATIC, *ADDONS])


def test_addons_that_are_not_there_yet() -> None:
    assert "CoreDNS" in not_ready([NODE], [*STATIC, ADDONS[0]])


def test_a_pod_that_is_not() -> None:
    pods = [*STATIC, ADDONS[0], item("coredns", ready=False, **{"k8s-app": "kube-dns"})]
    assert not_ready([NODE], pods) == "not Ready: coredns"
