"""etcd's members, which a run never touches: while one is away, no node of the others is changed.

A member is known by the name of kubeadm's static pod, not by labels that another pod may bear.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.pod.status import is_ready
from kubectl_selfhost.names import MIRROR_ANNOTATION, NAMESPACE


def ready_members(pods: Iterable[dict]) -> set[str]:
    """Return the nodes whose etcd is Ready, by kubeadm's static pods among ``pods``; empty for an
    external etcd.
    """
    return {pod["spec"].get("nodeName", "") for pod in pods if _is_member(pod) and is_ready(pod)}


def require(cluster: Cluster, before: set[str]) -> bool:
    """Return True if every member that was Ready ``before`` is Ready now; raise Waiting if a member
    isn't.
    """

    found = [cluster.find(PODS, _pod_name(node), NAMESPACE) for node in sorted(before)]
    missing = sorted(before - ready_members(pod for pod in found if pod is not None))
    if missing:
        raise Waiting(f"etcd on {', '.join(missing)} is not Ready")
    return True


def _pod_name(node: str) -> str:
    return f"etcd-{node.lower()}"


def _is_member(pod: dict) -> bool:
    metadata = pod["metadata"]
    is_mirror = MIRROR_ANNOTATION in (metadata.get("annotations") or {})
    return is_mirror and bool(metadata["name"] == _pod_name(pod["spec"].get("nodeName", "")))
