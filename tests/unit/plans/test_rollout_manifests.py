"""``rollout -o``: every DaemonSet that is meant, those of each group of nodes among them."""

from __future__ import annotations

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.component import COMPONENTS, SCHEDULER
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.output.manifests import as_text
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation

MANIFESTS = "/etc/kubernetes/manifests"
VERBOSE = Change(flags={"v": "4"})


def rollout(groups: dict[str, str], options: RolloutOptions) -> Rollout:
    """Return a roll-out of self-hosted nodes; ``groups`` has each node's group, empty: the shared
    one.
    """
    nodes, pods, daemonsets = [], [], {}
    for name, group in groups.items():
        nodes.append(api.node(name, labels={"kubectl-selfhost/pivoted": group or "true"}))
        for component in (each.of(group) for each in COMPONENTS):
            pod = api.our_pod(component, on=name)
            pod["spec"]["containers"][0]["command"] = [component.name]
            pods.append(pod)
            made = api.daemonset(component)
            made["spec"]["template"]["spec"]["containers"][0]["command"] = [component.name]
            daemonsets[component.daemonset] = made
    situation = Situation(nodes, pods, daemonsets, "v1.37.2", [])
    parts = [
        NodeRollout(None, situation, name, Kubelet(MANIFESTS), options=options)  # type: ignore[arg-type]
        for name in groups
    ]
    return Rollout(None, situation, nodes=parts, options=options)  # type: ignore[arg-type]


def names(made: Rollout) -> list[str]:
    return [one["metadata"]["name"] for one in made.manifests()]


def test_the_daemonset_of_a_group_is_there_where_no_node_shares_one():
    made = rollout({"b": "b"}, RolloutOptions(components=(SCHEDULER,), change=VERBOSE))
    assert names(made) == ["self-hosted-kube-scheduler-b"]


@pytest.mark.parametrize("how", ["yaml", "json", "name"])
def test_no_group_is_left_out(how: str):
    made = rollout({"a": "", "b": "b"}, RolloutOptions(change=VERBOSE, components=(SCHEDULER,)))
    assert names(made) == ["self-hosted-kube-scheduler", "self-hosted-kube-scheduler-b"]
    text = as_text(made.manifests(), how)
    assert "self-hosted-kube-scheduler-b" in text
    assert text.count("--v=4") == (0 if how == "name" else 2)
