"""Keeps the address of the Service ``kubernetes`` while its apiserver changes hands.

An apiserver that stops takes the node's address out of the EndpointSlice ``kubernetes``, and its
successor puts it back at its next tick, up to 10 s later: meanwhile kube-proxy refuses whoever calls
the Service. A second EndpointSlice of our own bridges that; the apiservers look at theirs alone.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from kubectl_selfhost.names import FIELD_MANAGER

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

_NAMESPACE = "default"
_SERVICE = "kubernetes"
_LABEL = "kubernetes.io/service-name"
NAME = "kubernetes-kubectl-selfhost"


def keep(cluster: Cluster, address: str) -> bool:
    """Adds our EndpointSlice with ``address``; False where the Service doesn't have it (an apiserver
    that doesn't keep the Service's endpoints itself: --endpoint-reconciler-type=none)."""
    for theirs in _slices(cluster):
        if theirs["metadata"]["name"] != NAME and address in _addresses(theirs):
            cluster.apply(_ours(theirs, address))
            return True
    return False


def is_kept(cluster: Cluster) -> bool:
    """Whether our EndpointSlice is there."""
    from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES

    return cluster.find(ENDPOINTSLICES, NAME, _NAMESPACE) is not None


def is_back(cluster: Cluster, address: str) -> bool:
    """Whether an apiserver has put ``address`` into an EndpointSlice that isn't ours."""
    return any(
        address in _addresses(one) for one in _slices(cluster) if one["metadata"]["name"] != NAME
    )


def is_spare(cluster: Cluster) -> bool:
    """Whether our EndpointSlice is there, and another one has an address, too."""
    found = _slices(cluster)
    return any(one["metadata"]["name"] == NAME for one in found) and any(
        _addresses(one) for one in found if one["metadata"]["name"] != NAME
    )


def release(cluster: Cluster) -> None:
    """Takes our EndpointSlice away."""
    from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES

    cluster.delete(ENDPOINTSLICES, NAME, _NAMESPACE)


def _slices(cluster: Cluster) -> list[dict]:
    from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES

    return cluster.list(ENDPOINTSLICES, _NAMESPACE, labels=f"{_LABEL}={_SERVICE}")


def _addresses(endpoint_slice: dict) -> list[str]:
    return [
        address
        for endpoint in endpoint_slice.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]


def _ours(theirs: dict, address: str) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": _NAMESPACE,
            "labels": {
                _LABEL: _SERVICE,
                "endpointslice.kubernetes.io/managed-by": FIELD_MANAGER,
            },
        },
        "addressType": theirs["addressType"],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": deepcopy(theirs.get("ports") or []),
    }
