"""The page of an upgrade: what runs, to what, what blocks, and the command."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.addons import plain
from kubectl_selfhost.controlplane.upgrade.findings import Finding, Findings, Running
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.output.document import as_json, as_yaml
from kubectl_selfhost.output.text import width
from kubectl_selfhost.output.upgrade.document import document
from kubectl_selfhost.output.upgrade.page import page

GOLDEN = Path(__file__).parent / "golden"
NOW, NEXT = Version(1, 37, 2), Version(1, 37, 3)
NODE = "demo-control-plane"
TOLD = Finding(
    "CoreDNS",
    "its Corefile (ConfigMap coredns) is not kubeadm's own",
    remedy="It stays; `kubeadm upgrade apply phase addon coredns` on a node migrates it.",
)
BLOCKS = Finding(
    "kube-controller-manager",
    "v1.37.3 has no flag --concurrent-service-syncs",
    blocks=True,
    remedy="To remove the flag with the upgrade, add --unset-flag=concurrent-service-syncs.",
    node=NODE,
)


def running(*nodes: str, workers: int = 0) -> list[Running]:
    found = []
    for node in nodes:
        found.append(Running("etcd", node, plain("3.7.0-0"), "registry.k8s.io/etcd:3.7.0-0"))
        found += [Running(c.name, node, NOW, f"registry.k8s.io/{c}:{NOW}") for c in COMPONENTS]
    everywhere = [*nodes, *[f"worker-{n}" for n in range(workers)]]
    found += [
        Running("kube-proxy", n, NOW, f"registry.k8s.io/kube-proxy:{NOW}") for n in everywhere
    ]
    dns = "registry.k8s.io/coredns/coredns:v1.14.6"
    found.append(Running("CoreDNS", nodes[0], plain("v1.14.6"), dns))
    return [*found, *[Running("kubelet", n, NOW) for n in everywhere]]


def target(version: Version = NEXT) -> Target:
    names = [*[c.name for c in COMPONENTS], "kube-proxy"]
    return Target(version, dict.fromkeys(names, version.tag))


CASES = {
    "upgrade-offers": Findings(
        running(NODE), [TOLD], offers=[target(), target(Version(1, 38, 0))], newest=NOW
    ),
    "upgrade-no-image": Findings(running("a", "b", "c", workers=9), newest=NOW),
    "upgrade-fine": Findings(running(NODE), [TOLD], target(), newest=NOW),
    "upgrade-blocked": Findings(running(NODE), [BLOCKS, TOLD], target(), newest=NOW),
}


@pytest.mark.parametrize("name", CASES)
def test_the_page(name):
    lines = page(CASES[name])
    file, text = GOLDEN / f"{name}.txt", "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert [line for line in lines if width(line) > 80] == []


def test_the_next_command_has_the_options_that_lead_to_the_target():
    found = replace(CASES["upgrade-fine"], options=["--back", "--unset-flag=v"])
    assert page(found)[-1] == "Next: kubectl selfhost upgrade --back --unset-flag=v v1.37.3"


def test_a_version_that_nothing_tells():
    found = Findings([Running("kube-scheduler", NODE, None, "own:latest")], newest=NOW)
    assert any("<unknown>" in line for line in page(found))
    assert document(found)["components"][0]["version"] is None


def test_the_document_has_the_same_facts():
    made = document(CASES["upgrade-blocked"])
    assert (made["version"], made["target"], made["possible"]) == ("v1.37.2", "v1.37.3", False)
    assert made["next"] == []
    (blocking,) = made["blocking"]
    assert blocking["nodes"] == [NODE]
    assert blocking["remedy"].endswith("--unset-flag=concurrent-service-syncs.")
    assert {one["name"]: one["target"] for one in made["components"]} == {
        "etcd": "3.7.0",
        "kube-apiserver": "v1.37.3",
        "kube-controller-manager": "v1.37.3",
        "kube-scheduler": "v1.37.3",
        "kube-proxy": "v1.37.3",
        "CoreDNS": "v1.14.6",
        "kubelet": "v1.37.3",
    }
    assert "Upgrade" in as_json(made)
    assert "Upgrade" in as_yaml(made)


def test_without_a_target_the_document_names_none():
    made = document(CASES["upgrade-no-image"])
    assert {one["target"] for one in made["components"]} == {None}
    assert made["offers"] == []
    assert made["next"] == ["kubectl selfhost upgrade VERSION"]
