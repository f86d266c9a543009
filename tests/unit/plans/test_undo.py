"""What a failed pivot may delete while other nodes are prepared, or self-hosted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apiobjects as api
import pytest
from fakes.objects import Objects

from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.plans.pivot.undo import Undo

OTHER = "another"
_DATA = Path(__file__).parents[1] / "controlplane" / "data" / "kubeadm-1.37"
FILE = (_DATA / "kube-apiserver.yaml").read_bytes()


def on(node: str, pod: dict) -> dict:
    """Return the pod under a name of its own on ``node``."""
    pod["metadata"]["name"] = f"{pod['metadata']['name']}-{node}"
    return {"apiVersion": "v1", "kind": "Pod", **pod}


class OnNode(Objects):
    """Objects whose pods can be listed by their node."""

    def list(self, kind: Any, namespace: str, *, labels: str = "", fields: str = "") -> list[dict]:
        node = fields.partition("spec.nodeName=")[2]
        found = super().list(kind, namespace, labels=labels)
        return [one for one in found if not node or one["spec"]["nodeName"] == node]


def is_deleted(elsewhere: dict) -> bool:
    """Return whether the API server's DaemonSet goes if its pod on another node is ``elsewhere``."""
    daemonset = {"apiVersion": "apps/v1", "kind": "DaemonSet", **api.daemonset(APISERVER)}
    daemonset["metadata"]["namespace"] = NAMESPACE
    static = {"apiVersion": "v1", "kind": "Pod", **api.static_pod(APISERVER)}
    waits = on("here", api.waiting_pod(APISERVER))
    cluster: Any = OnNode(daemonset, static, waits, on(OTHER, elsewhere))
    files = [SimpleNamespace(name="kube-apiserver.yaml", content=FILE)]
    agent: Any = SimpleNamespace(manifests=lambda: files)
    Undo(cluster, agent, api.NODE).delete_daemonset(APISERVER)
    return cluster.find(DAEMONSETS, APISERVER.daemonset, NAMESPACE) is None


@pytest.mark.parametrize(
    ("pod", "goes"),
    [
        (api.waiting_pod(APISERVER, on=OTHER), True),
        (api.our_pod(APISERVER, on=OTHER), False),
        (api.our_pod(APISERVER, on=OTHER, ready=False), False),
    ],
)
def test_a_daemonset_stays_where_it_has_started_its_component(pod: dict, goes: bool) -> None:
    assert is_deleted(pod) == goes
