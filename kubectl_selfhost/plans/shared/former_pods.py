"""Pods of a DaemonSet that an earlier run has left, and that a hand-over must not take for new
pods.

A DaemonSet may have been deleted and made again, as by a run that failed and the next run. The
garbage collector deletes the former pods late if the controller-manager was just started. And a pod
whose component started without a node agent beside it, because the agent was deleted, crash-loops:
its calls to itself reach the static instance. Only a new pod waits in its first container until the
hand-over.
"""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.pod.status import is_ready
from kubectl_selfhost.names import NAMESPACE


def are_gone(cluster: Cluster, daemonset: dict, node: str) -> bool:
    """Return True if no former pod of ``daemonset`` (from the API) is left on ``node``.

    Delete the former pods that are left; raise Waiting while one ends.
    """

    labels = f"k8s-app={daemonset['metadata']['name']}"
    pods = cluster.list(PODS, NAMESPACE, labels=labels, fields=f"spec.nodeName={node}")
    uid = daemonset["metadata"]["uid"]
    left = [pod["metadata"] for pod in pods if _is_of_another(pod, uid) or _has_crashed(pod, uid)]
    for one in left:
        if "deletionTimestamp" not in one:
            cluster.delete(PODS, one["name"], NAMESPACE, uid=one["uid"])
    if left:
        raise Waiting(f"the pod {left[0]['name']} of an earlier run is ending")
    return True


def _is_of_another(pod: dict, uid: str) -> bool:
    return any(owner != uid for owner in _daemonsets(pod))


def _has_crashed(pod: dict, uid: str) -> bool:
    """Return whether a container of the DaemonSet's pod has ended, and the pod is not Ready."""
    ended = any(
        one.get("restartCount") or "terminated" in (one.get("state") or {})
        for one in (pod.get("status") or {}).get("containerStatuses") or []
    )
    return uid in _daemonsets(pod) and ended and not is_ready(pod)


def _daemonsets(pod: dict) -> list[str]:
    owners = pod["metadata"].get("ownerReferences") or []
    return [owner.get("uid", "") for owner in owners if owner.get("kind") == "DaemonSet"]
