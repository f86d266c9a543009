"""The address of the Service ``kubernetes``, kept while its API server changes hands.

An API server that is told to end removes the node's address from the EndpointSlice ``kubernetes``.
Its successor, or the server that stays after a failure, puts the address back at its next tick, up
to 10 s later. Meanwhile kube-proxy refuses whoever calls the Service. A second EndpointSlice of our
own bridges this time; the API servers look at theirs alone. Our EndpointSlice goes only when the
address is back in theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES, PODS
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.instance import instances_of
from kubectl_selfhost.names import ADDRESS_SLICE, FIELD_MANAGER, NAMESPACE

_NAMESPACE = "default"
_SERVICE = "kubernetes"
_LABEL = "kubernetes.io/service-name"


def keep(cluster: Cluster, addresses: Collection[str]) -> bool:
    """Add our EndpointSlice with those ``addresses`` that the Service has, and with the addresses
    that an earlier run keeps there and no API server has put back.

    Return False if the Service has none of them (an API server that doesn't keep the Service's
    endpoints itself: --endpoint-reconciler-type=none).
    """
    for theirs in _slices(cluster):
        kept = [address for address in addresses if address in _addresses(theirs)]
        if theirs["metadata"]["name"] != ADDRESS_SLICE and kept:
            cluster.apply(_ours(theirs, sorted({*kept, *missing(cluster)})))
            return True
    return False


def is_kept(cluster: Cluster, addresses: Collection[str] = ()) -> bool:
    """Return whether our EndpointSlice is there, with all of ``addresses``."""

    found = cluster.find(ENDPOINTSLICES, ADDRESS_SLICE, _NAMESPACE)
    return found is not None and set(addresses) <= set(_addresses(found))


def kept(cluster: Cluster) -> list[str]:
    """Return the addresses of our EndpointSlice; empty if there is no such EndpointSlice."""
    return [
        a
        for one in _slices(cluster)
        if one["metadata"]["name"] == ADDRESS_SLICE
        for a in _addresses(one)
    ]


def missing(cluster: Cluster) -> list[str]:
    """Return the addresses of our EndpointSlice that no API server has in its own: empty if all are
    back, or if our EndpointSlice is gone.
    """
    kept: set[str] = set()
    theirs: set[str] = set()
    for one in _slices(cluster):
        (kept if one["metadata"]["name"] == ADDRESS_SLICE else theirs).update(_addresses(one))
    return sorted(kept - theirs)


def require_back(cluster: Cluster) -> bool:
    """Return True when our EndpointSlice may go; raise Waiting with the reason why it may not.

    An API server removes its node's address twice (kubernetesservice/controller.go, 1.25 to 1.37):
    soon after it begins to listen, which its /readyz waits for, and when it is told to end. So the
    address stays only if the server answers /readyz first, and no second server runs on its node
    that will be told to end.
    """
    doubled = nodes_with_two(cluster)
    if doubled:
        raise Waiting(f"two API servers run on {', '.join(doubled)}")
    cluster.raw("GET", "/readyz")
    absent = missing(cluster)
    if absent:
        raise Waiting(f"no API server has put {', '.join(absent)} back into the Service yet")
    return True


def nodes_with_two(cluster: Cluster, *, to_stay: bool = False) -> list[str]:
    """Return the nodes on which two API servers run; a server that waits for its port doesn't
    count.

    A static pod that ends doesn't count, either: it closed its port before it was marked so, and an
    API server removes its address before it closes its port (genericapiserver.go, 1.25 to 1.37).
    ``to_stay``: no server that was told to end counts.
    """

    pods = [pod for pod in cluster.list(PODS, NAMESPACE) if not _has_ended(pod)]
    found = [one for one in instances_of(pods, APISERVER) if not one.waiting_for_port]
    running = [one.node for one in found if not (one.ending or (to_stay and one.terminating))]
    return sorted({node for node in running if running.count(node) > 1})


def release_when_back(cluster: Cluster, *, timeout: float, tell: Callable[[str], None]) -> None:
    """Delete our EndpointSlice once the Service keeps its addresses without it. Raise TimedOut."""
    wait_until(
        lambda: require_back(cluster),
        what="the API server's address in the Service kubernetes",
        timeout=timeout,
        tell=tell,
    )
    release(cluster)


def release(cluster: Cluster) -> None:
    """Delete our EndpointSlice."""

    cluster.delete(ENDPOINTSLICES, ADDRESS_SLICE, _NAMESPACE)


def _has_ended(pod: dict) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def _slices(cluster: Cluster) -> list[dict]:

    return cluster.list(ENDPOINTSLICES, _NAMESPACE, labels=f"{_LABEL}={_SERVICE}")


def _addresses(endpoint_slice: dict) -> list[str]:
    return [
        address
        for endpoint in endpoint_slice.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]


def _ours(theirs: dict, addresses: list[str]) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": ADDRESS_SLICE,
            "namespace": _NAMESPACE,
            "labels": {
                _LABEL: _SERVICE,
                "endpointslice.kubernetes.io/managed-by": FIELD_MANAGER,
            },
        },
        "addressType": theirs["addressType"],
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        "ports": deepcopy(theirs.get("ports") or []),
    }
