"""Keeps the address of the Service ``kubernetes`` while its apiserver changes hands.

An apiserver that stops takes the node's address out of the EndpointSlice ``kubernetes``, and its
successor puts it back at its next tick, up to 10 s later: meanwhile kube-proxy refuses whoever calls
the Service. A second EndpointSlice of our own bridges that; the apiservers look at theirs alone.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import TYPE_CHECKING

from kubectl_selfhost.names import FIELD_MANAGER

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

_NAMESPACE = "default"
_SERVICE = "kubernetes"
_LABEL = "kubernetes.io/service-name"
NAME = "kubernetes-kubectl-selfhost"


def keep(cluster: Cluster, addresses: Collection[str]) -> bool:
    """Adds our EndpointSlice with those ``addresses`` that the Service has; False where it has none (an
    apiserver that doesn't keep the Service's endpoints itself: --endpoint-reconciler-type=none)."""
    for theirs in _slices(cluster):
        kept = [address for address in addresses if address in _addresses(theirs)]
        if theirs["metadata"]["name"] != NAME and kept:
            cluster.apply(_ours(theirs, kept))
            return True
    return False


def is_kept(cluster: Cluster, addresses: Collection[str] = ()) -> bool:
    """Whether our EndpointSlice is there, with all of ``addresses``."""
    from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES

    found = cluster.find(ENDPOINTSLICES, NAME, _NAMESPACE)
    return found is not None and set(addresses) <= set(_addresses(found))


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


def _ours(theirs: dict, addresses: list[str]) -> dict:
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
        "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
        "ports": deepcopy(theirs.get("ports") or []),
    }
