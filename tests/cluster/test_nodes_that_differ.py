"""Nodes that differ get DaemonSets of their own if a person asks for it; all else goes on as with
one DaemonSet.

Three nodes: the second one's scheduler has a flag, the third one's another name of its image.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from bed.harness import Bed
from cluster import looks
from cluster.probes import nothing_is_lost, probed_at_each_node
from cluster.test_nodes import (
    KIND_CONFIG,
    PIVOT,
    REVERT,
    gets_its_pods_back,
    heals,
    on_all,
    on_none,
    restart,
    self_hosted,
)

from kubectl_selfhost.controlplane.component import group_named_after

__all__ = ["KIND_CONFIG"]

IMAGE = "registry.k8s.io/kube-scheduler"

pytestmark = [pytest.mark.alone, pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    second, third = cluster.nodes[1:]
    file = f"{looks.MANIFESTS}/kube-scheduler.yaml"
    version = image(cluster, cluster.nodes[0]).rpartition(":")[2]
    tagged = ("ctr", "-n", "k8s.io", "images", "tag", f"{IMAGE}:{version}", f"{IMAGE}:other")
    cluster.node_exec(*tagged, node=third)
    cluster.node_exec("sed", "-i", "s/- kube-scheduler$/&\\n    - --v=3/", file, node=second)
    cluster.node_exec("sed", "-i", f"s,{IMAGE}:.*,{IMAGE}:other,", file, node=third)
    looks.eventually(
        lambda: "--v=3" in command(cluster, second) and image(cluster, third).endswith(":other"),
        what="the nodes don't differ",
    )
    looks.eventually(
        lambda: all(len(ready(cluster, node)) == 1 for node in cluster.nodes), what="not Ready"
    )
    return cluster


def ready(bed: Bed, node: str) -> list[dict]:
    """Return the scheduler's Ready pods on a node."""
    return [
        pod
        for pod in looks.objects(bed, "pods", "-l", "component=kube-scheduler")
        if pod["spec"]["nodeName"] == node and looks.is_ready(pod)
    ]


def command(bed: Bed, node: str) -> list[str]:
    return [word for pod in ready(bed, node) for word in pod["spec"]["containers"][0]["command"]]


def image(bed: Bed, node: str) -> str:
    return next((pod["spec"]["containers"][0]["image"] for pod in ready(bed, node)), "")


def daemonsets(bed: Bed) -> set[str]:
    found = [one["metadata"]["name"] for one in looks.objects(bed, "daemonsets")]
    return {name for name in found if name.startswith("self-hosted-")}


def of_each_group(bed: Bed) -> set[str]:
    second, third = map(group_named_after, bed.nodes[1:])
    return {
        f"self-hosted-{component}{group}"
        for component in looks.COMPONENTS
        for group in ("", f"-{second}", f"-{third}")
    }


def test_they_are_refused_and_told(bed):
    second, third = bed.nodes[1:]
    run = bed.selfhost("pivot", "--dry-run=client", check=False)
    said = " ".join(run.stderr.split())
    assert run.returncode == 1
    assert f"kube-scheduler on {second}: spec.containers[kube-scheduler].command --v" in said
    assert f"kube-scheduler on {third}: spec.containers[kube-scheduler].image" in said
    assert "--when-nodes-differ=separate" in said


def test_they_get_daemonsets_of_their_own_and_nothing_is_lost(bed, tmp_path: Path):
    with probed_at_each_node(bed, tmp_path) as seen:
        run = bed.selfhost(*PIVOT, "--when-nodes-differ=separate", check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == on_all(bed)
    assert daemonsets(bed) == of_each_group(bed)
    first, second, third = bed.nodes
    assert ["--v=3" in command(bed, node) for node in (first, second, third)] == [
        False,
        True,
        False,
    ]
    assert image(bed, third).endswith(":other")
    assert not image(bed, first).endswith(":other")
    nothing_is_lost(seen, ended=len(bed.nodes))


def test_status_tells_them_apart(bed):
    text = " ".join(bed.selfhost("status").stdout.split())
    assert "self-hosted on 3 nodes, healthy" in text
    for node in bed.nodes[1:]:
        assert f"own DaemonSets, *-{group_named_after(node)}" in text
    assert "recovery copy of" not in text


def test_a_roll_out_reaches_all_of_them(bed):
    run = bed.selfhost(
        "rollout", "kube-scheduler", "--set-flag=profiling=false", "--yes", check=False
    )
    assert run.returncode == 0, str(run)
    assert all("--profiling=false" in command(bed, node) for node in bed.nodes)
    assert "--v=3" in command(bed, bed.nodes[1])
    assert image(bed, bed.nodes[2]).endswith(":other")
    assert "recovery copy of" not in " ".join(bed.selfhost("status").stdout.split())


def test_one_of_them_comes_back_after_a_restart_as_it_was(bed):
    second = bed.nodes[1]
    restart([second])
    heals(bed)
    assert "--v=3" in command(bed, second)


def test_a_node_object_that_is_made_anew_gets_its_own_pods_back(bed):
    second = bed.nodes[1]
    gets_its_pods_back(bed, second)
    assert daemonsets(bed) == of_each_group(bed)
    assert "--v=3" in command(bed, second)


def test_one_of_them_alone_goes_back_and_its_daemonsets_go(bed):
    third = bed.nodes[2]
    run = bed.selfhost(*REVERT, f"--node={third}", check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == {**on_all(bed), third: set()}
    gone = f"-{group_named_after(third)}"
    assert daemonsets(bed) == {name for name in of_each_group(bed) if not name.endswith(gone)}
    assert image(bed, third).endswith(":other")


def test_the_others_go_back_too_each_as_it_was(bed):
    run = bed.selfhost(*REVERT, check=False)
    assert run.returncode == 0, str(run)
    assert self_hosted(bed) == on_none(bed)
    assert daemonsets(bed) == set()
    assert "--v=3" in command(bed, bed.nodes[1])
    assert looks.works(bed)
