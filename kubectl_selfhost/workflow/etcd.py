"""etcd's members, which are never touched: while one is away, no node of the others is changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kubectl_selfhost.names import NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


_LABELS = {"component": "etcd", "tier": "control-plane"}


def ready_members(pods: Iterable[dict]) -> set[str]:
    """The nodes whose etcd is Ready, as kubeadm's static pods among ``pods`` tell; empty for an
    external etcd."""
    return {
        pod["spec"].get("nodeName", "")
        for pod in pods
        if _LABELS.items() <= (pod["metadata"].get("labels") or {}).items()
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod.get("status", {}).get("conditions") or []
        )
    }


def require(cluster: Cluster, before: set[str]) -> bool:
    """True if every member that was Ready ``before`` is so now; raises Waiting where one isn't."""
    from kubectl_selfhost.cluster.kinds import PODS
    from kubectl_selfhost.cluster.waits import Waiting

    labels = ",".join(f"{key}={value}" for key, value in _LABELS.items())
    missing = sorted(before - ready_members(cluster.list(PODS, NAMESPACE, labels=labels)))
    if missing:
        raise Waiting(f"etcd on {', '.join(missing)} is not Ready")
    return True
