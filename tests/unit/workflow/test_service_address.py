"""The second EndpointSlice of the Service kubernetes."""

from __future__ import annotations

import pytest
from objects import Objects

from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES
from kubectl_selfhost.workflow import service_address


def theirs(*addresses: str) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


@pytest.fixture
def cluster() -> Objects:
    return Objects(theirs("10.0.0.1", "10.0.0.2"))


def ours(cluster: Objects) -> dict:
    return cluster.find(ENDPOINTSLICES, service_address.NAME, "default") or {}


def test_ours_has_the_nodes_address_alone(cluster: Objects) -> None:
    assert service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    assert [e["addresses"] for e in ours(cluster)["endpoints"]] == [["10.0.0.2"]]
    assert ours(cluster)["ports"] == theirs()["ports"]


def test_it_belongs_to_the_service_and_to_us(cluster: Objects) -> None:
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    assert ours(cluster)["metadata"]["labels"] == {
        "kubernetes.io/service-name": "kubernetes",
        "endpointslice.kubernetes.io/managed-by": "kubectl-selfhost",
    }


def test_an_address_that_the_service_never_had_is_not_added(cluster: Objects) -> None:
    assert not service_address.keep(cluster, ["10.0.0.9"])  # type: ignore[arg-type]
    assert ours(cluster) == {}


def test_ours_does_not_count_as_back(cluster: Objects) -> None:
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    cluster.put(theirs("10.0.0.1"))
    assert not service_address.is_back(cluster, "10.0.0.2")  # type: ignore[arg-type]
    cluster.put(theirs("10.0.0.1", "10.0.0.2"))
    assert service_address.is_back(cluster, "10.0.0.2")  # type: ignore[arg-type]


def test_it_is_spare_once_another_one_has_an_address(cluster: Objects) -> None:
    assert not service_address.is_spare(cluster)  # type: ignore[arg-type]
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    assert service_address.is_spare(cluster)  # type: ignore[arg-type]
    cluster.put(theirs())
    assert not service_address.is_spare(cluster)  # type: ignore[arg-type]


def test_it_goes(cluster: Objects) -> None:
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    service_address.release(cluster)  # type: ignore[arg-type]
    assert not service_address.is_kept(cluster)  # type: ignore[arg-type]
