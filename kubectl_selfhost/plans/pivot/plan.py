"""The pivot's plan: static pods to DaemonSets, on one node after the other.

A DaemonSet runs only on nodes that have our label, and each node gets the label in its turn. So all
that a node needs is there before its first static pod goes, and the other nodes notice nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.static_to_daemonset import FromStaticPod
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.node import binaries
from kubectl_selfhost.plans.pivot.grouping import Groups
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.pivot.steps import PivotSteps
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation
from kubectl_selfhost.reboot.on_node import tell_uncopied

_ONE_AFTER_THE_OTHER = (
    "The run prepares all nodes first. Then it changes one node after the other. If a node fails, the "
    "run restores this node, removes what it prepared on the nodes after it, and stops. The nodes before "
    "it stay self-hosted, and the same command continues later."
)
_FALLS_BACK = (
    "If a new instance does not serve in time, the node itself puts the static pod back, also without "
    "the API and without this machine."
)
_AFTERWARDS = (
    "Afterwards `kubeadm upgrade` no longer changes these components: run `kubectl selfhost "
    "upgrade` instead."
)
#: kubeadm takes a node without kube-apiserver.yaml for a worker: kubeadm looks for the etcd member of
#: an empty address, finds none, and says nothing (1.37: reset.go, RemoveStackedEtcdMemberFromCluster).
_BEFORE_A_RESET = (
    "Before `kubeadm reset` of a node, run `kubectl selfhost revert --node NAME`. Else its etcd member "
    "stays in the cluster and counts for the quorum."
)
_AFTER_A_REBOOT = {
    True: "After a reboot of the node, the guardian (a static pod) starts a copy of the API server, "
    "until the DaemonSet's own pod serves again.",
    False: "--no-reboot-recovery: after a reboot of the node the API does not come back by itself. "
    "A person must put the manifests back on the node (see docs/failures.md).",
}

_REBOOTED = {
    True: "After a reboot of the node, its guardian brings the API back.",
    False: "After a reboot of the node the API does not come back by itself "
    "(--no-reboot-recovery): see docs/failures.md.",
}


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
        #: Whether the control plane has more than one node, even if only one of them is meant.
        self.several = nodes.are_several(situation)
        self.nodes = [
            NodePivot(cluster, situation, node, kubelet, components=options.components)
            for node, kubelet in kubelets.items()
        ]
        self.groups = Groups(situation, self.nodes, separate=options.separate)
        self.handovers: list[FromStaticPod] = []
        self._steps: list[PivotSteps] = []

    def manifests(self) -> list[dict]:
        """Return the DaemonSets that run what the pivot moves."""
        return self.groups.daemonsets()

    def to_apply(self) -> list[dict]:
        """Return everything that the pivot applies, as for ``kubectl apply -f -``."""
        programs = {one.target.arch: binaries.secret(one.target.arch) for one in self.nodes}
        return [*programs.values(), *self.groups.made()]

    def outcome(self) -> Outcome:
        """Return what a person reads at the end."""
        whole = self._is_whole()
        kept: dict[str, list[str]] = {}
        for one in self.nodes:
            kept.setdefault(one.target.directory, []).append(one.node)
        return Outcome(
            "The control plane is self-hosted."
            if whole
            else "The selected components are self-hosted.",
            [
                *[
                    f"The static pods' manifests are on {', '.join(names)} in {directory}."
                    for directory, names in kept.items()
                ],
                *self._still_ending(),
                "`kubeadm upgrade` no longer changes these components: run `kubectl selfhost "
                "upgrade` instead.",
                *([_BEFORE_A_RESET] if self.several else []),
                _REBOOTED[self.options.reboot_recovery],
            ],
        )

    def _still_ending(self) -> list[str]:
        """Return until when former API servers finish their last requests."""
        return [
            f"The former {APISERVER} on {one.node} lets its last requests finish, for up to "
            f"{math.ceil(own.ending.seconds_left)} s from now. Its watches end then, and their "
            "clients go on at the new one."
            for one, own in zip(self.nodes, self._steps, strict=False)
            if own.ending.seconds_left
        ]

    def _is_whole(self) -> bool:
        """Return whether nothing is static any more, once the pivot is done."""
        done = {(part.node, c) for part in self.nodes for c in self.options.components}
        return all(
            (name, component) in done or self.situation.self_hosted(component, name)
            for name in self.situation.node_names
            if nodes.runs(self.situation, name)
            for component in COMPONENTS
        )

    def choices(self, one: NodePivot) -> dict[Component, Choice]:
        """Return the way in which each component of ``one`` will change hands, as far as the API
        tells.
        """
        return one.choices(self.groups.to_switch(one), self.options.handover)

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that turn the situation into a self-hosted control plane."""
        made = [
            PivotSteps(self.cluster, one, self.groups, self.options, observer, journal)
            for one in self.nodes
        ]
        self._steps = made
        self.handovers = [handover for own in made for handover in own.handovers]
        return Plan(
            title=f"Pivot {in_words(self.nodes)} to a self-hosted control plane",
            steps=self._ordered(made),
            facts={**self._facts(), **self._choices()},
            know=[
                "The node agent renames the manifests. It deletes and overwrites nothing on the node.",
                *([_ONE_AFTER_THE_OTHER] if len(self.nodes) > 1 else []),
                _FALLS_BACK,
                _AFTERWARDS,
                *([_BEFORE_A_RESET] if self.several else []),
                _AFTER_A_REBOOT[self.options.reboot_recovery],
                *(self._without_copies() if self.options.reboot_recovery else []),
            ],
        )

    def _ordered(self, made: Sequence[PivotSteps]) -> list[Step]:
        """Return the steps of all nodes in their order.

        First all nodes are prepared: this changes nothing that serves, and slow preparations overlap.
        Then one node after the other changes hands.
        """
        pairs = list(zip(self.nodes, made, strict=True))
        switched = [(one, own) for one, own in pairs if self.groups.to_switch(one)]
        several = len(switched) > 1
        stages = zip(
            *(self._preparation(one, own, several=several) for one, own in switched), strict=True
        )
        return [
            *[step for stage in stages for on_node in stage for step in on_node],
            *[
                step
                for one, own in pairs
                for step in _on(one, self._on_node(one, own, several=several))
            ],
        ]

    def _preparation(self, one: NodePivot, steps: PivotSteps, *, several: bool) -> list[list[Step]]:
        """Return the steps that prepare ``one``, in stages; all nodes finish a stage before the next.

        ``several``: other nodes are prepared in this run, too.

        The order is the safety. A node is looked at before anything is made. All its new pods are
        up or waiting before the first static pod goes: no pod need be made or bound while the
        controller-manager or the scheduler changes hands.
        """
        stages = [
            [steps.program(), *([steps.create_agent()] if several else [])],
            [steps.inspect()],
            [steps.label(), *([steps.recovery()] if self.options.reboot_recovery else [])],
            [steps.daemonset(component) for component in self.groups.to_switch(one)],
            [steps.standby()],
        ]
        return [_on(one, stage) for stage in stages]

    def _on_node(self, one: NodePivot, steps: PivotSteps, *, several: bool) -> list[Step]:
        """Return the steps that make the control plane of ``one``, which is prepared, a self-hosted
        one; ``several``: other nodes change hands in this run, too.

        The apiserver goes first, because the other two can be fixed through it.
        """
        switched = self.groups.to_switch(one)
        bridge = APISERVER in switched
        if not switched:
            return [
                steps.program(),
                steps.label(),
                *([steps.returned()] if one.to_return else []),
                steps.end_agent(),
                *([steps.settled(one.etcd_members)] if self.several else []),
            ]
        return [
            *([steps.still_prepared()] if several else []),
            *([steps.keep_address()] if bridge else []),
            *[steps.switch(handover) for handover in steps.handovers],
            steps.end_agent(),
            steps.static_end(),
            *([steps.release_address()] if bridge else []),
            *([steps.settled(one.etcd_members)] if self.several else []),
        ]

    def _without_copies(self) -> list[str]:
        said = [line for one in self.nodes for line in tell_uncopied(self.groups.hosted(one))]
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
        """Return the way of each component; by node if the nodes differ."""
        by_node = {one.node: self.choices(one) for one in self.nodes}
        return ways.told(by_node)


def _on(one: NodePivot, steps: Sequence[Step]) -> list[Step]:
    """Return ``steps`` as steps on the node ``one``."""
    return [replace(step, node=one.node) for step in steps]
