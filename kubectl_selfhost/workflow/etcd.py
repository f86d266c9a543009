"""etcd's members, which are never touched: while one is away, no node of the others is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.names import NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


def ready_members(cluster: Cluster) -> set[str]:
    """The nodes whose etcd is Ready, as kubeadm's static pods tell; empty for an external etcd."""
    from kubectl_selfhost.cluster.kinds import PODS

    return {
        pod["spec"].get("nodeName", "")
        for pod in cluster.list(PODS, NAMESPACE, labels="component=etcd,tier=control-plane")
        if any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod.get("status", {}).get("conditions") or []
        )
    }


def require(cluster: Cluster, before: set[str]) -> bool:
    """True if every member that was Ready ``before`` is so now; raises Waiting where one isn't."""
    from kubectl_selfhost.cluster.waits import Waiting

    missing = sorted(before - ready_members(cluster))
    if missing:
        raise Waiting(f"etcd on {', '.join(missing)} is not Ready")
    return True
