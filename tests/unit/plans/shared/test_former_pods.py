"""Pods of a DaemonSet that an earlier run has left."""

from __future__ import annotations

import pytest
from fakes.objects import Objects

from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.plans.shared import former_pods

DAEMONSET = {"metadata": {"name": "self-hosted-kube-scheduler", "uid": "new"}}


def pod(name: str, owner: str, kind: str = "DaemonSet", **metadata: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "uid": f"uid-of-{name}",
            "labels": {"k8s-app": "self-hosted-kube-scheduler"},
            "ownerReferences": [{"kind": kind, "uid": owner}],
            **metadata,
        },
    }


def are_gone(cluster: Objects) -> bool:
    return former_pods.are_gone(cluster, DAEMONSET, "a")  # type: ignore[arg-type]


def test_a_former_pod_is_deleted_and_waited_for() -> None:
    cluster = Objects(pod("former", "old"), pod("present", "new"))
    with pytest.raises(Waiting, match="former of an earlier run is ending"):
        are_gone(cluster)
    assert are_gone(cluster)
    assert cluster.find(PODS, "present", "kube-system")


def test_one_that_ends_is_only_waited_for() -> None:
    cluster = Objects(pod("former", "old", deletionTimestamp="2026-11-26T00:00:00Z"))
    with pytest.raises(Waiting):
        are_gone(cluster)
    assert cluster.find(PODS, "former", "kube-system")


def test_what_no_daemonset_made_is_left_alone() -> None:
    cluster = Objects(pod("made by hand", "old", kind="ReplicaSet"))
    assert are_gone(cluster)


@pytest.mark.parametrize(
    ("status", "goes"),
    [
        ({"restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, True),
        ({"restartCount": 1, "state": {"running": {}}}, True),
        ({"restartCount": 0, "state": {"terminated": {"exitCode": 255}}}, True),
        ({"restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}, False),
    ],
)
def test_a_pod_whose_component_has_crashed_makes_room_for_one_that_waits(status, goes) -> None:
    one = pod("crashed", "new")
    one["status"] = {"containerStatuses": [status]}
    cluster = Objects(one)
    if goes:
        with pytest.raises(Waiting, match="crashed of an earlier run is ending"):
            are_gone(cluster)
    assert are_gone(cluster)
    assert (cluster.find(PODS, "crashed", "kube-system") is None) == goes


def test_a_ready_pod_stays_though_it_was_restarted() -> None:
    one = pod("serves", "new")
    one["status"] = {
        "containerStatuses": [{"restartCount": 1, "state": {"running": {}}}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    cluster = Objects(one)
    assert are_gone(cluster)
    assert cluster.find(PODS, "serves", "kube-system")
