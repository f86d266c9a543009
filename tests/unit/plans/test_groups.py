"""Which nodes share DaemonSets, and which ones get their own."""

from __future__ import annotations

from typing import Any, cast

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
    group_named_after,
)
from kubectl_selfhost.names import SHARED_BY_ALL
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.plan import Pivot
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation

MANIFESTS = "/etc/kubernetes/manifests"


def static_pod(component: Component, node: str, address: str, *more: str) -> dict:
    pod = api.static_pod(component, on=node)
    advertised = [f"--advertise-address={address}"] if component == APISERVER else []
    pod["spec"]["hostNetwork"] = True
    pod["spec"]["containers"][0]["command"] = [component.name, *advertised, *more]
    return pod


def control_plane(
    flags: dict[str, dict[Component, str]],
    *,
    hosted: dict[str, str] | None = None,
    advertised: dict[str, str] | None = None,
) -> Situation:
    """Return nodes with a flag more for some components; ``hosted`` are those that are pivoted
    already, each with its label's value; ``advertised`` addresses that are not the node's.
    """
    hosted, nodes, pods = hosted or {}, [], []
    for at, (name, more) in enumerate(flags.items(), 1):
        address = f"10.0.0.{at}"
        node = api.node(
            name, labels={"kubectl-selfhost/pivoted": hosted[name]} if name in hosted else {}
        )
        node["status"]["addresses"][0]["address"] = address
        node["status"]["nodeInfo"]["kernelVersion"] = "6.1.0"
        nodes.append(node)
        own = (advertised or {}).get(name, address)
        for c in COMPONENTS:
            if name in hosted:
                group = "" if hosted[name] == "true" else hosted[name]
                pods.append(api.our_pod(c.of(group), on=name))
            else:
                pods.append(static_pod(c, name, own, *([more[c]] if c in more else [])))
    return Situation(nodes, pods, {}, "v1.37.2", [])


def pivot(situation: Situation, *, separate: bool = True) -> Pivot:
    return Pivot(
        cast(Any, None),
        situation,
        kubelets=dict.fromkeys(sorted(situation.node_names), Kubelet(MANIFESTS)),
        options=PivotOptions(separate=separate),
    )


def groups(made: Pivot) -> dict[str, str]:
    return {one.node: made.groups.of(one.node) for one in made.nodes}


def with_daemonsets(situation: Situation, made: Pivot) -> Situation:
    """Return ``situation``, with what another pivot has made."""
    found = {one["metadata"]["name"]: one for one in made.groups.daemonsets()}
    return Situation(situation.nodes, situation.pods, found, "v1.37.2", [])


def test_nodes_that_are_alike_share_what_has_no_name_behind_it():
    made = pivot(control_plane({"a": {}, "b": {}}))
    assert groups(made) == {"a": "", "b": ""}
    assert [one["metadata"]["name"] for one in made.groups.daemonsets()] == [
        component.daemonset for component in COMPONENTS
    ]


def test_those_that_differ_in_the_same_way_share_their_own():
    slow = {SCHEDULER: "--v=3"}
    made = pivot(control_plane({"a": {}, "b": slow, "c": slow, "d": {SCHEDULER: "--v=4"}}))
    assert groups(made) == {"a": "", "b": "b", "c": "b", "d": "d"}
    assert made.groups.separate() == {"b": ["b", "c"], "d": ["d"]}
    assert not made.groups.differences()


def test_each_daemonset_runs_on_its_own_nodes_alone():
    made = pivot(control_plane({"a": {}, "b": {SCHEDULER: "--v=3"}}))
    values = {
        one["metadata"]["name"]: (
            one["spec"]["template"]["spec"]["nodeSelector"]["kubectl-selfhost/pivoted"],
            one["spec"]["selector"]["matchLabels"]["k8s-app"],
        )
        for one in made.groups.daemonsets()
    }
    assert values["self-hosted-kube-scheduler"] == ("true", "self-hosted-kube-scheduler")
    assert values["self-hosted-kube-scheduler-b"] == ("b", "self-hosted-kube-scheduler-b")
    assert values["self-hosted-kube-apiserver-b"] == ("b", "self-hosted-kube-apiserver-b")


def test_unless_asked_for_they_are_told_and_share():
    made = pivot(control_plane({"a": {}, "b": {SCHEDULER: "--v=3"}}), separate=False)
    assert groups(made) == {"a": "", "b": ""}
    assert any(
        "kube-scheduler on b" in said and "--v" in said for said in made.groups.differences()
    )


def test_a_node_that_comes_later_joins_those_it_is_like():
    before = pivot(control_plane({"a": {}, "b": {SCHEDULER: "--v=3"}}))
    later = control_plane(
        {"a": {}, "b": {}, "c": {SCHEDULER: "--v=3"}, "d": {}}, hosted={"a": "true", "b": "b"}
    )
    made = pivot(with_daemonsets(later, before))
    assert groups(made) == {"a": "", "b": "b", "c": "b", "d": ""}
    assert made.groups.made() == []


def test_a_node_that_advertises_another_address_has_its_own_and_the_others_share():
    made = pivot(control_plane({"a": {}, "b": {}, "c": {}}, advertised={"b": "192.0.2.7"}))
    assert groups(made) == {"a": "", "b": "b", "c": ""}
    (of_b,) = [
        d
        for d in made.groups.daemonsets()
        if d["metadata"]["name"] == "self-hosted-kube-apiserver-b"
    ]
    command = of_b["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "--advertise-address=192.0.2.7" in command


@pytest.mark.parametrize(
    "node", ["cp-1", "true", "a-control-plane-node-with-a-long.name.example.org"]
)
def test_a_groups_name_fits_a_label(node: str):
    group = group_named_after(node)
    assert group != SHARED_BY_ALL
    for component in COMPONENTS:
        name = component.of(group).daemonset
        assert len(name) <= 63
        assert name[-1].isalnum()
        assert component.runs_as(name)
    assert CONTROLLER_MANAGER.groups_in([CONTROLLER_MANAGER.of(group).daemonset])[0].group == group


def test_it_is_the_same_component_in_every_group():
    assert APISERVER.of("b") == APISERVER
    assert {APISERVER: 1}[APISERVER.of("b")] == 1
    assert not APISERVER.runs_as("self-hosted-kube-apiserverless")
    assert not APISERVER.runs_as(SCHEDULER.daemonset)
