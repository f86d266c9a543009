"""Pods of a DaemonSet that was deleted and made anew, as by a run that failed and the next one.

The garbage collector takes them away when it comes to it, which is late just after the
controller-manager was started. Until then they look like the new DaemonSet's: one that can't run
would be taken for a new instance that can't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.names import NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


def are_gone(cluster: Cluster, daemonset: dict, node: str) -> bool:
    """Whether no such pod of ``daemonset`` (from the API) is left on ``node``; deletes those that are.

    Raises Waiting while one ends.
    """
    from kubectl_selfhost.cluster.kinds import PODS
    from kubectl_selfhost.cluster.waits import Waiting

    labels = f"k8s-app={daemonset['metadata']['name']}"
    pods = cluster.list(PODS, NAMESPACE, labels=labels, fields=f"spec.nodeName={node}")
    left = [pod["metadata"] for pod in pods if _is_of_another(pod, daemonset["metadata"]["uid"])]
    for one in left:
        if "deletionTimestamp" not in one:
            cluster.delete(PODS, one["name"], NAMESPACE, uid=one["uid"])
    if left:
        raise Waiting(f"{left[0]['name']}, of a DaemonSet that was deleted, is ending")
    return True


def _is_of_another(pod: dict, uid: str) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return any(owner.get("kind") == "DaemonSet" and owner.get("uid") != uid for owner in owners)
