"""The pivot's plan: static pods to DaemonSets, on one node after the other.

A DaemonSet runs only where its node has our label, and each node gets that in its turn. So all that
a node needs is there before its first static pod goes, and the other nodes notice nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import COMPONENTS, Component, group_named_after
from kubectl_selfhost.controlplane.daemonset import alike, daemonset
from kubectl_selfhost.controlplane.daemonset.daemonset import AgentFacts, NodeFacts
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Plan
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.names import NODE_LABEL, SHARED_BY_ALL
from kubectl_selfhost.node import binaries
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation
from kubectl_selfhost.reboot.on_node import tell_uncopied

_ONE_AFTER_THE_OTHER = (
    "The nodes are done one after the other. If one fails, it is put back and the run stops; those "
    "before it stay self-hosted, and the same command goes on later."
)
_FALLS_BACK = (
    "If a new instance doesn't come to serve, the node puts the static pod back by itself, also "
    "without the API and without this machine."
)
_AFTERWARDS = "Afterwards `kubeadm upgrade` no longer knows this control plane."
#: kubeadm takes a node without kube-apiserver.yaml for a worker: it looks for the etcd member of no
#: address, finds none, and says nothing (1.37: reset.go, RemoveStackedEtcdMemberFromCluster).
BEFORE_A_RESET = (
    "Before `kubeadm reset` of a node: `kubectl selfhost revert --node NAME`, or its etcd member "
    "stays in the cluster and counts for the quorum."
)
_AFTER_A_REBOOT = {
    True: "After a reboot of the node, a static pod of ours (the guardian) starts a copy of the API "
    "server, until the DaemonSet's own is up again.",
    False: "--no-reboot-recovery: after a reboot of the node the API does not come back by itself; "
    "somebody has to put the manifests back on the node (see docs/failures.md).",
}


@dataclass(frozen=True)
class PivotOptions:
    """What a person may choose. ``nodes`` are the names of those that are meant (none: all).
    ``timeout`` is the limit of each wait, in seconds; ``handover`` the way in which ports change
    hands (``ways``); ``reboot_recovery``: the nodes get a guardian; ``separate``: nodes that differ
    get DaemonSets of their own, where they are refused otherwise."""

    components: tuple[Component, ...] = COMPONENTS
    nodes: tuple[str, ...] = ()
    timeout: float = 300.0
    handover: str = ways.AUTO
    ignore: tuple[str, ...] = ()
    reboot_recovery: bool = True
    separate: bool = False

    @property
    def allow_admission_changes(self) -> bool:
        return bool({"admission", "all"} & {name.strip().lower() for name in self.ignore})


class Pivot:
    """A pivot, from a situation that was read before; ``kubelets`` are the nodes' kubelets by
    node, in the order in which the nodes are done."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        kubelets: Mapping[str, Kubelet],
        options: PivotOptions,
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.options = options
        #: Whether the control plane has more than one node, whatever part of it is meant.
        self.several = nodes.are_several(situation)
        self.nodes = [NodePivot(self, node, kubelet) for node, kubelet in kubelets.items()]

    def daemonset(self, component: Component) -> dict:
        """The DaemonSet that runs ``component`` in its group."""
        return self._daemonsets[component.daemonset]

    def daemonsets(self) -> list[dict]:
        """The DaemonSets of the components that are still to be switched on some node."""
        return list(self._daemonsets.values())

    def manifests(self) -> list[dict]:
        """Everything that the pivot applies, as for ``kubectl apply -f -``."""
        programs = {one.target.arch: binaries.secret(one.target.arch) for one in self.nodes}
        return [*programs.values(), *self.made()]

    def made(self) -> list[dict]:
        """The DaemonSets that don't serve anywhere yet; the others are left as they are."""
        return [one for name, one in self._daemonsets.items() if name not in self._in_use]

    def staying(self) -> list[dict]:
        """Return the DaemonSets that serve on some node, and that the pivot leaves as they are."""
        return list(self._in_use.values())

    def in_use(self, component: Component) -> bool:
        """Whether its group's DaemonSet serves on some node: then it is left as it is."""
        situation = self.situation
        return any(
            situation.self_hosted(component, name) and situation.group(name) == component.group
            for name in situation.node_names
        )

    def differences(self) -> list[str]:
        """Where nodes differ from those with which they share a DaemonSet, in words."""
        return [said for one in self.nodes for said in self.differences_on(one)]

    def differences_on(self, one: NodePivot) -> list[str]:
        """Where ``one`` differs from those with which it shares a DaemonSet, in words."""
        return self._differences(one, one.group, self._daemonsets)

    def forget_daemonsets(self) -> None:
        """Build the DaemonSets anew, of what is known now: a node's manifests were read."""
        self.__dict__.pop("_daemonsets", None)

    def separate(self) -> dict[str, list[str]]:
        """The nodes that have DaemonSets of their own, by the name of their group."""
        found: dict[str, list[str]] = {}
        for one in self.nodes:
            if one.group:
                found.setdefault(one.group, []).append(one.node)
        return found

    def group(self, node: str) -> str:
        """The group of nodes (see ``Component.group``) that ``node`` is in, or will be."""
        return self._grouped[0][node]

    @cached_property
    def _grouped(self) -> tuple[dict[str, str], dict[str, tuple[Component, NodePivot]]]:
        """The nodes' groups; and by the name of each DaemonSet that is to be made, the component as
        its group has it, and the first node of the group, whose static pod makes it."""
        groups: dict[str, str] = {}
        makers: dict[str, tuple[Component, NodePivot]] = {}
        known = dict(self._in_use)
        for one in self.nodes:
            groups[one.node] = self._group_of(one, known)
            for component in one.static:
                own = component.of(groups[one.node])
                if own.daemonset not in known:
                    makers[own.daemonset] = (own, one)
                    known[own.daemonset] = self._built(own, one)
        return groups, makers

    def _group_of(self, one: NodePivot, known: Mapping[str, dict]) -> str:
        if self.situation.is_labelled(one.node):
            return self.situation.group(one.node)
        if one.to_return:  # the Node object is a new one, and its label is lost
            return self._group_before(one)
        if not self.options.separate:
            return ""
        groups = sorted({own.group for c in COMPONENTS for own in c.groups_in(known)} - {""})
        for group in ("", *groups):
            if not self._differences(one, group, known):
                return group
        return group_named_after(one.node)

    def _group_before(self, one: NodePivot) -> str:
        """Return the group that a node was in whose recovery copies stand in for DaemonSets' pods."""
        groups = self.situation.groups_before(one.to_return[0], one.node)
        if len(groups) != 1:
            values = " or ".join(sorted(group or SHARED_BY_ALL for group in groups))
            raise SelfhostError(
                f"Node {one.node} has lost its label {NODE_LABEL}, and nothing on it says which "
                f"DaemonSets it shared ({values}).",
                f"Give it the label it had: `kubectl label node {one.node} {NODE_LABEL}=VALUE`.",
            )
        return groups.pop()

    def _differences(self, one: NodePivot, group: str, daemonsets: Mapping[str, dict]) -> list[str]:
        """Where a node differs from the ``daemonsets`` (by name) of a group, as far as they exist."""
        return [
            f"{component} on {one.node}: {difference}"
            for component in (each.of(group) for each in one.static)
            if component.daemonset in daemonsets
            for difference in alike.differences(
                daemonsets[component.daemonset], self._built(component, one)
            )
        ]

    @cached_property
    def _in_use(self) -> dict[str, dict]:
        """The DaemonSets that serve on some node, by name."""
        return {
            component.daemonset: self.situation.daemonset(component)
            for each in COMPONENTS
            for component in each.groups_in(self.situation.daemonsets)
            if self.in_use(component)
        }

    @cached_property
    def _daemonsets(self) -> dict[str, dict]:
        """The DaemonSets of the components that are still to be switched on some node, by name."""
        _, makers = self._grouped
        names = [component.daemonset for one in self.nodes for component in one.to_switch]
        return {
            name: self._built(*makers[name]) if name in makers else self._in_use[name]
            for name in dict.fromkeys(names)
        }

    def _built(self, component: Component, node: NodePivot) -> dict:
        """The DaemonSet as the static pod of ``node`` makes it, for every node like it."""
        return daemonset.build(
            component,
            node.static_pod(component),
            nodes=[node.facts(), *self._facts_beside(component, node)],
            agent=AgentFacts(
                arch=node.target.arch,
                secret=binaries.secret_name(node.target.arch),
                node_directory=node.target.directory,
            ),
        )

    def _facts_beside(self, component: Component, node: NodePivot) -> list[NodeFacts]:
        """Of the other nodes that could share its DaemonSet: also those that are not meant now may
        come later."""
        situation = self.situation
        others = [
            nodes.facts(situation, name)
            for name in situation.node_names
            if name != node.node and nodes.runs(situation, name)
        ]
        of_its_kind = [one for one in others if one.arch == node.target.arch]
        if not self.options.separate:
            return of_its_kind

        def alone(facts: NodeFacts) -> bool:
            pod = situation.mirror_pod(component, facts.name)
            return pod is not None and daemonset.is_each_nodes_own(component, pod, facts)

        return [] if alone(node.facts()) else [one for one in of_its_kind if not alone(one)]

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
                *([BEFORE_A_RESET] if self.several else []),
                _AFTER_A_REBOOT[self.options.reboot_recovery],
                *(self._without_copies() if self.options.reboot_recovery else []),
            ],
        )

    def _without_copies(self) -> list[str]:
        said = [line for one in self.nodes for line in tell_uncopied(one.recoverable())]
        return list(dict.fromkeys(said))

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
