"""Whose a pod is: the static pod's name, the DaemonSet that owns it, and never a label alone."""

from __future__ import annotations

from copy import deepcopy

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC, instances_of, kind_of
from kubectl_selfhost.controlplane.values.addresses import host_ip
from kubectl_selfhost.health.observe import observe
from kubectl_selfhost.health.verdict import judge
from kubectl_selfhost.plans.shared import etcd
from kubectl_selfhost.plans.shared.situation import Situation
from kubectl_selfhost.reboot import recovery


def second_scheduler(on: str = api.NODE) -> dict:
    """Return a second scheduler's static pod, copied with labels and containers."""
    pod = api.static_pod(SCHEDULER, on=on)
    pod["metadata"]["name"] = f"my-scheduler-{on}"
    pod["metadata"]["uid"] = "uid-of-my-scheduler"
    flags = ["--config=/x", "--leader-elect=false"]
    pod["spec"]["containers"][0]["command"] = ["kube-scheduler", *flags]
    return pod


def without_labels(pod: dict) -> dict:
    pod["metadata"]["labels"] = {"k8s-app": "kube-apiserver"}
    return pod


def situation(*pods: dict) -> Situation:
    for pod in pods:
        pod["metadata"]["namespace"] = "kube-system"
    return Situation([api.node()], list(pods), {}, "v1.37.2", [])


def test_a_second_scheduler_is_another_static_pod():
    pods = [second_scheduler(), *[api.static_pod(c) for c in COMPONENTS]]
    found = situation(*pods)
    assert [i.pod for i in found.instances(SCHEDULER, api.NODE)] == [f"kube-scheduler-{api.NODE}"]
    assert found.own(SCHEDULER, api.NODE).lease == "kube-scheduler"


def test_a_second_scheduler_serves_nothing_of_ours():
    """After a pivot its static pod is still there."""
    plane = api.self_hosted_plane()
    plane["pods"].insert(0, second_scheduler())
    seen = observe(**plane)
    assert seen.serves(SCHEDULER, seen.nodes[0]) == DAEMONSET
    assert seen.self_hosted(SCHEDULER, seen.nodes[0])
    assert judge(seen).healthy
    found = situation(*plane["pods"])
    assert found.self_hosted(SCHEDULER, api.NODE)
    assert found.mirror_pod(SCHEDULER, api.NODE) is None


def test_a_static_pod_is_the_components_without_its_labels():
    pods = [without_labels(api.static_pod(c)) for c in COMPONENTS]
    assert [kind_of(pod, c) for pod, c in zip(pods, COMPONENTS, strict=True)] == [STATIC] * 3
    assert situation(*pods).mirror_pod(APISERVER, api.NODE) == pods[0]
    assert judge(observe(nodes=[api.node()], pods=pods, leases=api.leases())).healthy


def test_a_pod_with_our_label_is_ours_by_its_owner_alone():
    pod = api.our_pod(SCHEDULER)
    assert kind_of(pod, SCHEDULER) == DAEMONSET
    for owners in (
        [],
        [{"kind": "ReplicaSet", "name": SCHEDULER.daemonset}],
        [{"kind": "DaemonSet", "name": "my-scheduler"}],
    ):
        other = deepcopy(pod)
        other["metadata"]["ownerReferences"] = owners
        assert instances_of([other], SCHEDULER) == []


@pytest.mark.parametrize("change", ["name", "annotations"])
def test_a_recovery_copy_is_known_by_its_name(change: str):
    copy = api.standing_in(APISERVER)
    assert recovery.standing_in([copy]) == (APISERVER.name,)
    copy["metadata"][change] = f"mine-{api.NODE}" if change == "name" else {}
    assert recovery.standing_in([copy]) == ()
    assert recovery.nodes_with_copies([copy]) == set()


def test_etcd_is_known_by_its_name():
    def pod(name: str, labels: dict) -> dict:
        made = api.static_pod(APISERVER)
        made["metadata"] |= {"name": f"{name}-{api.NODE}", "labels": labels}
        return made

    assert etcd.ready_members([pod("etcd", {})]) == {api.NODE}
    assert etcd.ready_members([pod("my-etcd", {"component": "etcd"})]) == set()


def lease(name: str, holder: str, *, namespace: str = "kube-system", renewed: float = 1.0) -> dict:
    made = api.lease(name, holder, renewed=renewed)
    made["metadata"]["namespace"] = namespace
    return made


def scheduler(*flags: str) -> dict:
    pod = api.static_pod(SCHEDULER)
    pod["spec"]["containers"][0]["command"] = ["kube-scheduler", *flags]
    return pod


STALE = lease("kube-scheduler", "gone_1", renewed=4000)


@pytest.mark.parametrize(
    ("flags", "leases", "holder"),
    [
        (["--leader-elect-resource-name=my"], [lease("my", "a_2")], "a_2"),
        (
            ["--leader-elect-resource-name=my", "--leader-elect-resource-namespace=own"],
            [lease("my", "a_2", namespace="own"), lease("my", "b_1")],
            "a_2",
        ),
        (["--leader-elect=false"], [lease("other", "b_1")], None),
        (["--config=/x"], [lease("other", "b_1")], None),
    ],
)
def test_a_lease_that_is_not_the_components_says_nothing(flags, leases, holder):
    pods = [scheduler(*flags), *[api.static_pod(c) for c in COMPONENTS if c != SCHEDULER]]
    seen = observe(nodes=[api.node()], pods=pods, leases=[STALE, *leases])
    leader = seen.leaders.get(SCHEDULER.name)
    assert (leader.holder if leader else None) == holder
    assert judge(seen).healthy


def test_the_trouble_names_the_lease_that_has_run_out():
    pods = [
        scheduler("--leader-elect-resource-name=my"),
        *[api.static_pod(c) for c in COMPONENTS if c != SCHEDULER],
    ]
    leases = [lease("my", "a_2", renewed=100), lease("other", "b_1")]
    verdict = judge(observe(nodes=[api.node()], pods=pods, leases=leases))
    assert verdict.next == "kubectl -n kube-system describe lease my"


def addressed(*addresses: str) -> dict:
    node = api.node()
    node["status"]["addresses"] = [{"type": "InternalIP", "address": one} for one in addresses]
    return node


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.9", "10.0.0.1"),  # of before the node's address changed
    ],
)
def test_a_nodes_address_is_the_one_that_its_pods_get(told: str, address: str):
    node = addressed("10.0.0.1", "192.0.2.1", "fd00:0:0::1")
    pod, elsewhere = api.static_pod(APISERVER), api.static_pod(APISERVER, on="b")
    pod["status"]["hostIP"], elsewhere["status"]["hostIP"] = told, "192.0.2.1"
    assert host_ip(node, [elsewhere, pod]) == address
