"""Pods of a DaemonSet that was deleted and made anew."""

from __future__ import annotations

import pytest
from objects import Objects

from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.workflow import former_pods

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
    with pytest.raises(Waiting, match="former, of a DaemonSet that was deleted, is ending"):
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
