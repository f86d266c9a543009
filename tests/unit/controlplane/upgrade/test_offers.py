"""Which versions the nodes' own images allow."""

from __future__ import annotations

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.findings import Running
from kubectl_selfhost.controlplane.upgrade.offers import offered
from kubectl_selfhost.controlplane.upgrade.version import Version

NOW = Version(1, 37, 2)


def node(name: str, *versions: str, without: str = "") -> dict:
    images = [
        {"names": [f"r/{one}@sha256:{version}", f"r/{one}:{version}"]}
        for version in versions
        for one in COMPONENTS
        if f"{one}:{version}" != without
    ]
    return {"metadata": {"name": name}, "status": {"images": images}}


def test_a_version_is_offered_if_each_node_has_all_its_images():
    running = [Running(c.name, n, NOW, f"r/{c}:v1.37.2") for c in COMPONENTS for n in ("a", "b")]
    nodes = [
        node("a", "v1.37.2", "v1.37.3", "v1.37.4", "v1.38.0", "v1.36.4", "v1.39.0"),
        node("b", "v1.37.2", "v1.37.3", "v1.37.4", "v1.38.0", without="kube-scheduler:v1.37.3"),
    ]
    assert list(map(str, offered(nodes, running, NOW))) == ["v1.37.4", "v1.38.0"]
    assert offered([{"metadata": {"name": "a"}}], running[:3], NOW) == []
