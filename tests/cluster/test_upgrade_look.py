"""Before an upgrade: the target's own programs say what they refuse, and nothing is left of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bed import nextimages, versions
from bed.harness import REPOSITORY, Bed
from cluster import looks

from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect
from kubectl_selfhost.names import QUESTION_LABELS

pytestmark = pytest.mark.soak

NOW, NEXT = versions.KUBERNETES, versions.NEXT_KUBERNETES
MISSING, RETAGGED, RENAMED, FOREIGN = "v1.37.5", "v1.37.6", "v1.37.7", "v1.37.8"
FLAG, OTHER_FLAG = "concurrent-endpoint-syncs", "concurrent-endpoint-sinks"


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    run = cluster.selfhost("upgrade", check=False)
    assert run.returncode == 1, str(run)
    assert "not self-hosted" in run.stdout
    cluster.selfhost("pivot", "--yes")
    return cluster


@pytest.fixture(autouse=True)
def nothing_stays(bed: Bed) -> Any:
    """Check that each look leaves neither a pod nor a change."""
    before = state(bed)
    yield
    labels = ",".join(f"{key}={value}" for key, value in QUESTION_LABELS.items())
    looks.eventually(
        lambda: looks.objects(bed, "pods", "-l", labels) == [], what="a pod that asks is left"
    )
    assert state(bed) == before


def state(bed: Bed) -> list[tuple[str, int]]:
    found = looks.objects(bed, "daemonsets")
    return sorted((one["metadata"]["name"], one["metadata"]["generation"]) for one in found)


def look(bed: Bed, *words: str) -> tuple[int, dict]:
    run = bed.selfhost("upgrade", *words, "-o", "json", check=False)
    return run.returncode, json.loads(run.stdout)


def blocking(bed: Bed, *words: str) -> dict[str, str]:
    """Return what blocks, by component."""
    code, said = look(bed, *words)
    assert code == (1 if said["blocking"] else 0)
    return {one["what"]: f"{one['value']}. {one['remedy']}" for one in said["blocking"]}


def test_the_page_knows_every_version(bed):
    code, said = look(bed)
    assert code == 0
    there = {one["name"]: one["version"] for one in said["components"]}
    assert {there[c] for c in (*looks.COMPONENTS, "kube-proxy", "kubelet")} == {NOW}
    assert there["CoreDNS"] == versions.DEFAULT.coredns
    assert there["etcd"].startswith("3.")


def test_an_api_server_answers_at_its_own_address(bed):
    """As each is asked where there are several; the kubeconfig names another address."""
    (node,) = bed.get("nodes")["items"]
    (address,) = [
        one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"
    ]
    cluster = connect(ConnectionOptions(kubeconfig=str(bed.kubeconfig)))
    there = cluster.at(f"https://{address}:6443", timeout=10.0)
    assert there.server != cluster.server
    assert b"process_start_time_seconds " in there.raw("GET", "/metrics")[1]


def test_a_missing_image_is_found(bed):
    found = blocking(bed, MISSING)
    assert set(found) == {*looks.COMPONENTS, "kube-proxy"}
    assert all("the node can't get the image" in one for one in found.values())


def test_the_next_version_fits_and_is_offered_from_then_on(bed):
    nextimages.load(bed.node)
    assert blocking(bed, NEXT) == {}
    looks.eventually(
        lambda: look(bed)[1]["offers"] == [NEXT], what="the version is not offered", seconds=150.0
    )


def test_an_image_that_holds_another_version_is_found(bed):
    for component in nextimages.COMPONENTS:
        nextimages.tag(bed.node, component, RETAGGED)
    found = blocking(bed, RETAGGED)
    assert set(found) == set(nextimages.COMPONENTS)
    assert all(f"holds {NOW}, not {RETAGGED}" in one for one in found.values())


def test_an_image_of_another_cpu_is_found(bed):
    foreign = REPOSITORY / "kubectl_selfhost/node/binaries/agent-arm64"
    nextimages.load(bed.node, version=FOREIGN)
    nextimages.put(bed.node, f"registry.k8s.io/kube-scheduler:{FOREIGN}", foreign)
    (found,) = blocking(bed, FOREIGN).values()
    assert "for another kind of CPU" in found


@pytest.fixture(scope="module")
def other_names(bed: Bed) -> None:
    """Load a target that lacks a flag, a feature gate and an admission plugin that are in use."""
    manager = "kube-controller-manager"
    bed.selfhost("rollout", manager, f"--set-flag={FLAG}=6", "--yes")
    gates = "--set-flag=feature-gates=ContextualLogging=true"
    bed.selfhost("rollout", "kube-scheduler", gates, "--yes")
    nextimages.load(bed.node, ["kube-proxy"], version=RENAMED)
    for component, renamed in (
        (manager, {FLAG: OTHER_FLAG}),
        ("kube-scheduler", {"ContextualLogging": "ContextualLagging"}),
        ("kube-apiserver", {"NodeRestriction": "NodeRestricting"}),
    ):
        nextimages.load(bed.node, [component], version=RENAMED, renamed=renamed)


@pytest.mark.usefixtures("other_names")
def test_what_is_gone_is_named_with_the_way_on(bed):
    found = blocking(bed, RENAMED)
    assert set(found) == set(looks.COMPONENTS)
    assert f"add --unset-flag={FLAG}" in found["kube-controller-manager"]
    assert "add --unset-gate=ContextualLogging" in found["kube-scheduler"]
    assert "no admission plugin NodeRestriction" in found["kube-apiserver"]


@pytest.mark.usefixtures("other_names")
def test_without_them_it_fits(bed):
    words = (f"--unset-flag={FLAG}", "--unset-gate=ContextualLogging")
    assert set(blocking(bed, RENAMED, *words)) == {"kube-apiserver"}
