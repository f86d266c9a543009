"""Who leads: a lease is taken from a dead process only, and never from a live one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.objects import Objects

from kubectl_selfhost.controlplane.component import CONTROLLER_MANAGER
from kubectl_selfhost.controlplane.values.hosts import Hosts
from kubectl_selfhost.handover.leadership import Leadership


def lease(holder: str, renewed: str, version: str = "1") -> dict:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": "kube-controller-manager",
            "namespace": "kube-system",
            "resourceVersion": version,
        },
        "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15},
    }


@pytest.fixture
def cluster() -> Objects:
    return Objects(lease("old", "10:00:00"))


@pytest.fixture
def leadership(cluster: Objects) -> Leadership:
    return Leadership(cluster, CONTROLLER_MANAGER)  # type: ignore[arg-type]


def spec(cluster: Objects) -> dict:
    from kubectl_selfhost.cluster.kinds import LEASES

    return (cluster.find(LEASES, "kube-controller-manager", "kube-system") or {})["spec"]


def test_the_dead_ones_name_is_taken_off(cluster: Objects, leadership: Leadership) -> None:
    assert leadership.release()
    assert spec(cluster)["holderIdentity"] == ""


def test_also_after_it_renewed_once_more(cluster: Objects, leadership: Leadership) -> None:
    cluster.put(lease("old", "10:00:02"))
    assert leadership.release()


def test_nothing_else_of_the_lease_is_changed(cluster: Objects, leadership: Leadership) -> None:
    leadership.release()
    assert spec(cluster) == {**lease("", "10:00:00")["spec"]}


def test_somebody_elses_lease_is_left_alone(cluster: Objects, leadership: Leadership) -> None:
    cluster.put(lease("another", "10:00:02"))
    assert not leadership.release()
    assert spec(cluster)["holderIdentity"] == "another"


def test_a_lease_that_changes_meanwhile_is_left_alone(
    cluster: Objects, leadership: Leadership, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cluster.find

    def find_and_then_it_changes(*arguments: object) -> dict | None:
        found = read(*arguments)  # type: ignore[arg-type]
        cluster.put(lease("new", "10:00:03", version="2"))
        return found

    monkeypatch.setattr(cluster, "find", find_and_then_it_changes)
    assert not leadership.release()
    assert spec(cluster)["holderIdentity"] == "new"


def test_the_old_holder_is_not_the_new_leader(cluster: Objects, leadership: Leadership) -> None:
    cluster.put(lease("old", "10:00:02"))
    assert not leadership.is_new()


def test_nobody_is_no_leader(cluster: Objects, leadership: Leadership) -> None:
    cluster.put(lease("", "10:00:02"))
    assert not leadership.is_new()


def test_another_holder_is_the_new_leader(cluster: Objects, leadership: Leadership) -> None:
    cluster.put(lease("new", "10:00:02"))
    assert leadership.is_new()


def test_without_knowing_the_old_holder_a_renewal_counts(
    cluster: Objects, leadership: Leadership
) -> None:
    leadership.forget_holder()
    assert not leadership.is_new()
    cluster.put(lease("old", "10:00:02"))
    assert leadership.is_new()


@pytest.mark.parametrize(
    ("holder", "here"),
    [("CP-1_5f0c", True), ("cp-2_5f0c", False), ("cp-11_5f0c", False), ("", False)],
)
def test_whether_the_leader_is_on_the_node(holder: str, here: bool) -> None:
    cluster = Objects(lease(holder, "10:00:00"))
    hosts = Hosts(frozenset({"cp-1"}), frozenset({"cp-2"}))
    leadership = Leadership(cluster, CONTROLLER_MANAGER, hosts=hosts)  # type: ignore[arg-type]
    assert leadership.is_here() == here


def test_a_lone_nodes_leader_is_here_whatever_it_is_called(leadership: Leadership) -> None:
    assert leadership.is_here()


def test_the_lease_is_the_one_that_the_component_has() -> None:
    own = lease("old", "10:00:00")
    own["metadata"] |= {"name": "my-kcm", "namespace": "control"}
    cluster = Objects(own, lease("stale", "09:00:00"))
    component = replace(CONTROLLER_MANAGER, lease="my-kcm", lease_namespace="control")
    leadership = Leadership(cluster, component)  # type: ignore[arg-type]
    assert leadership.release()
    assert spec(cluster)["holderIdentity"] == "stale"
    own["spec"] = lease("new", "10:00:02")["spec"]
    cluster.put(own)
    assert leadership.is_new()
