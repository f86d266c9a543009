"""The pivot's plan: static pods to DaemonSets, on one node after the other.

A DaemonSet runs only where its node has our label, and each node gets that in its turn. So all that
a node needs is there before its first static pod goes, and the other nodes notice nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane import alike, daemonset
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import AgentFacts, NodeFacts
from kubectl_selfhost.node import binaries
from kubectl_selfhost.workflow import nodes, ways
from kubectl_selfhost.workflow.journal import Journal
from kubectl_selfhost.workflow.node_part import as_fact, in_words
from kubectl_selfhost.workflow.pivot_node import NodePivot
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.situation import Situation
from kubectl_selfhost.workflow.step import Plan

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

_ONE_AFTER_THE_OTHER = (
    "The nodes are done one after the other. If one fails, it is put back and the run stops; those "
    "before it stay self-hosted, and the same command goes on later."
)
_FALLS_BACK = (
    "If a new instance doesn't come to serve, the node puts the static pod back by itself, also "
    "without the API and without this machine."
)
_AFTERWARDS = "Afterwards `kubeadm upgrade` no longer knows this control plane."
_AFTER_A_REBOOT = {
    True: "After a reboot of the node, a static pod of ours (the guardian) starts a copy of the API "
    "server, until the DaemonSet's own is up again.",
    False: "--no-reboot-recovery: after a reboot of the node the API does not come back by itself; "
    "somebody has to put the manifests back on the node (see the README).",
}


@dataclass(frozen=True)
class PivotOptions:
    """What a person may choose. ``nodes`` are the names of those that are meant (none: all).
    ``timeout`` is the limit of each wait, in seconds; ``handover`` the way in which ports change
    hands (``ways``); ``reboot_recovery``: the nodes get a guardian."""

    components: tuple[Component, ...] = COMPONENTS
    nodes: tuple[str, ...] = ()
    timeout: float = 300.0
    handover: str = ways.AUTO
    ignore: tuple[str, ...] = ()
    reboot_recovery: bool = True

    @property
    def allow_admission_changes(self) -> bool:
        return bool({"admission", "all"} & {name.strip().lower() for name in self.ignore})


class Pivot:
    """A pivot, from a situation that was read before; ``paths`` are the kubelets' staticPodPaths by
    node, in the order in which the nodes are done."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        paths: Mapping[str, str],
        options: PivotOptions,
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.options = options
        #: Whether the control plane has more than one node, whatever part of it is meant.
        self.several = nodes.are_several(situation)
        self.nodes = [NodePivot(self, node, path) for node, path in paths.items()]

    def daemonset(self, component: Component) -> dict:
        """The DaemonSet that runs ``component``: the one that does already on another node, or what
        the first static pod makes."""
        return self._daemonsets[component]

    def daemonsets(self) -> dict[Component, dict]:
        """The DaemonSets of the components that are still to be switched on some node."""
        return dict(self._daemonsets)

    def manifests(self) -> list[dict]:
        """Everything that the pivot applies, as for ``kubectl apply -f -``."""
        programs = {one.target.arch: binaries.config_map(one.target.arch) for one in self.nodes}
        made = [self._daemonsets[c] for c in self._daemonsets if not self.in_use(c)]
        return [*programs.values(), *made]

    def in_use(self, component: Component) -> bool:
        """Whether the component's DaemonSet serves on some node: then it is left as it is."""
        situation = self.situation
        return any(situation.self_hosted(component, name) for name in situation.node_names)

    def differences(self) -> list[str]:
        """Where nodes differ so that one DaemonSet can't be for all, in words."""
        return [
            f"{component} on {one.node}: {difference}"
            for component, wanted in self._daemonsets.items()
            for one in self.nodes
            if component in one.to_switch
            for difference in alike.differences(wanted, self._built(component, one))
        ]

    @cached_property
    def _daemonsets(self) -> dict[Component, dict]:
        found = {}
        for component in self.options.components:
            first = next((one for one in self.nodes if component in one.to_switch), None)
            if first is None:
                continue
            existing = self.situation.daemonsets.get(component.daemonset)
            found[component] = (
                {"apiVersion": "apps/v1", "kind": "DaemonSet", **existing}
                if existing is not None and self.in_use(component)
                else self._built(component, first)
            )
        return found

    def _built(self, component: Component, node: NodePivot) -> dict:
        """The DaemonSet as the static pod of ``node`` makes it, for every node like it."""
        return daemonset.build(
            component,
            node.static_pod(component),
            nodes=[node.facts(), *(self._facts_beside(node) if self.several else [])],
            agent=AgentFacts(
                arch=node.target.arch,
                configmap=binaries.config_map_name(node.target.arch),
                node_directory=node.target.directory,
            ),
        )

    def _facts_beside(self, node: NodePivot) -> list[NodeFacts]:
        """Of the other nodes of the same CPU: also those that are not meant now may come later."""
        others = [
            nodes.facts(self.situation, name)
            for name in self.situation.node_names
            if name != node.node and nodes.runs(self.situation, name)
        ]
        return [one for one in others if one.arch == node.target.arch]

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """The steps that turn the situation into a self-hosted control plane."""
        steps = [
            replace(step, node=one.node)
            for one in self.nodes
            for step in one.steps(observer=observer, journal=journal)
        ]
        return Plan(
            title=f"Pivot {in_words(self.nodes)} to a self-hosted control plane",
            steps=steps,
            facts={**self._facts(), **self._choices()},
            know=[
                "The manifests are renamed, not deleted; nothing on the node is overwritten.",
                *([_ONE_AFTER_THE_OTHER] if len(self.nodes) > 1 else []),
                _FALLS_BACK,
                _AFTERWARDS,
                _AFTER_A_REBOOT[self.options.reboot_recovery],
            ],
        )

    def _facts(self) -> dict[str, str]:
        first = self.nodes[0].target
        return {
            **as_fact(self.nodes, with_cpu=True),
            "Kubernetes": self.situation.git_version,
            "Manifests": first.static_pod_path,
            "Kept in": first.directory,
        }

    def _choices(self) -> dict[str, str]:
        """The way of each component; by node where the nodes differ."""
        by_node = {one.node: one.choices() for one in self.nodes}
        return ways.told(by_node)
