"""The second EndpointSlice of the Service kubernetes."""

from __future__ import annotations

import apiobjects as api
import pytest
from fakes.objects import Objects

from kubectl_selfhost.cluster.kinds import ENDPOINTSLICES
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.names import ADDRESS_SLICE
from kubectl_selfhost.plans.shared import service_address


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
    return cluster.find(ENDPOINTSLICES, ADDRESS_SLICE, "default") or {}


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
    assert service_address.missing(cluster) == ["10.0.0.2"]  # type: ignore[arg-type]
    cluster.put(theirs("10.0.0.1", "10.0.0.2"))
    assert service_address.missing(cluster) == []  # type: ignore[arg-type]


def test_nothing_is_missing_where_ours_is_gone(cluster: Objects) -> None:
    cluster.put(theirs())
    assert service_address.missing(cluster) == []  # type: ignore[arg-type]


def test_what_an_earlier_run_keeps_stays_kept(cluster: Objects) -> None:
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    cluster.put(theirs("10.0.0.1"))
    service_address.keep(cluster, ["10.0.0.1"])  # type: ignore[arg-type]
    kept = [e["addresses"] for e in ours(cluster)["endpoints"]]
    assert kept == [["10.0.0.1"], ["10.0.0.2"]]


def test_it_goes(cluster: Objects) -> None:
    service_address.keep(cluster, ["10.0.0.2"])  # type: ignore[arg-type]
    service_address.release(cluster)  # type: ignore[arg-type]
    assert not service_address.is_kept(cluster)  # type: ignore[arg-type]


class Answering(Objects):
    """A cluster of objects, and /readyz, which somebody may look at as it is asked."""

    def __init__(self, *manifests: dict) -> None:
        super().__init__(*manifests)
        self.when_asked = lambda: None

    def raw(self, method: str, path: str) -> tuple[int, bytes]:
        assert (method, path) == ("GET", "/readyz")
        self.when_asked()
        return 200, b"ok"


@pytest.fixture
def one_node() -> Answering:
    cluster = Answering(theirs("10.0.0.1"), pod(api.static_pod(APISERVER)))
    service_address.keep(cluster, ["10.0.0.1"])  # type: ignore[arg-type]
    return cluster


def pod(manifest: dict) -> dict:
    return {"apiVersion": "v1", "kind": "Pod", **manifest}


def may_go(cluster: Objects) -> str:
    """Return why the EndpointSlice may not go yet; empty if it may go."""
    try:
        service_address.require_back(cluster)  # type: ignore[arg-type]
    except Waiting as reason:
        return str(reason)
    return ""


def test_it_may_go_where_the_address_is_back(one_node: Answering) -> None:
    assert may_go(one_node) == ""


def test_it_stays_while_the_address_is_away(one_node: Answering) -> None:
    one_node.put(theirs())
    assert "10.0.0.1" in may_go(one_node)


def test_a_server_that_starts_takes_the_address_out_before_it_is_ready(one_node: Answering) -> None:
    """So the address counts as back only by what is seen after the answer of /readyz."""
    one_node.when_asked = lambda: one_node.put(theirs())
    assert "10.0.0.1" in may_go(one_node)


@pytest.mark.parametrize("second", [api.our_pod(APISERVER), api.our_pod(APISERVER, ready=False)])
def test_it_stays_while_a_second_server_could_be_told_to_end(one_node, second: dict) -> None:
    one_node.put(pod(second))
    assert may_go(one_node) == f"two API servers run on {api.NODE}"


@pytest.mark.parametrize(
    "second",
    [
        api.waiting_pod(APISERVER),
        api.ending_pod(APISERVER),
        api.our_pod(APISERVER, ready=False, phase="Failed"),
        api.our_pod(APISERVER, on="another"),
    ],
)
def test_a_server_that_does_not_run_there_is_no_second_one(one_node, second: dict) -> None:
    one_node.put(pod(second))
    assert may_go(one_node) == ""
