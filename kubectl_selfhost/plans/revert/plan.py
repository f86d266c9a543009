"""The revert's plan: DaemonSets back to static pods, on one node after the other.

If there are several nodes, a DaemonSet stays until the last of its nodes is static again: a node
that loses its label loses the DaemonSet's pods. A lone node's DaemonSets go one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.daemonset_to_static import ToStaticPod
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import program
from kubectl_selfhost.plans.revert.node import NodeRevert
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.revert.steps import RevertSteps
from kubectl_selfhost.plans.shared import nodes, stored_credentials
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation
from kubectl_selfhost.plans.shared.steps import discard

_SHARING = (
    "--permit-port-sharing=true stays in the manifests: with this flag the static pods start beside "
    "the DaemonSets' pods. `kubeadm upgrade` writes its own manifests, without the flag."
)
_PROBED = (
    "The probes of kube-apiserver use {host} on its node: this address tells the static pod from the "
    "DaemonSet's pod. `kubeadm upgrade` writes the node's address again."
)
_EXACT = (
    "At the end the manifests are those from before the pivot, byte for byte, without later changes "
    "(an image, a flag). For this, each component starts once more."
)
_ONE_AT_A_TIME = (
    "Two instances of {components} must not run side by side: the run deletes the DaemonSet's pod when "
    "the static pod's manifest is in place. If the static pod does not serve, the run starts a pod of "
    "the DaemonSet again. If the run is cut off meanwhile, run the same command again."
)
_EMULATES = (
    "An upgrade has not ended: --emulated-version={version} stays in the manifests. End the upgrade "
    "first, with `kubectl selfhost upgrade`: kubeadm's records name the former version."
)
_FALLS_BACK = (
    "The run deletes a DaemonSet only when its static pod serves. If the static pod does not serve in "
    "time, the node itself removes the manifest again, and the DaemonSet's pod keeps serving."
)


class Revert:
    """A revert, from a situation that was read before; ``kubelets`` are the nodes' kubelets by
    node, in the order in which the nodes are done.

    ``backups`` are the manifests as they were before the pivot, by node, as the journal has them.
    """

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        kubelets: Mapping[str, Kubelet],
        options: RevertOptions,
        backups: Mapping[str, dict[Component, dict]],
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.options = options
        self.several = nodes.are_several(situation)
        if self.several and options.components != COMPONENTS:
            raise SelfhostError(
                "With several control-plane nodes, only whole nodes go back to static pods.",
                "Leave --component out, or select nodes with --node.",
            )
        self.nodes = [
            NodeRevert(
                cluster, situation, node, kubelet, options=options, backups=backups.get(node, {})
            )
            for node, kubelet in kubelets.items()
        ]
        self.handovers: list[ToStaticPod] = []

    @property
    def whole(self) -> bool:
        """Return whether nothing is self-hosted afterwards, so that the cluster needs nothing of
        kubectl selfhost any more.
        """
        meant = {one.node for one in self.nodes}
        left = [n for n in hosted_nodes(self.situation) if n not in meant]
        return not left and all(one.whole for one in self.nodes)

    def outcome(self) -> Outcome:
        """Return what a person reads at the end."""
        if not self.whole:
            return Outcome("The selected components are static pods again.")
        return Outcome(
            "The control plane runs in static pods again.",
            ["`kubeadm upgrade` changes these components again."],
        )

    def manifests(self) -> list[dict]:
        """Return the static pods' manifests, of all nodes."""
        return [manifest for one in self.nodes for manifest in one.manifests()]

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that turn the situation into a static control plane again."""
        made = [RevertSteps(self.cluster, one, observer, journal) for one in self.nodes]
        self.handovers = [handover for own in made for handover in own.handovers]
        steps = [
            replace(step, node=one.node)
            for one, own in zip(self.nodes, made, strict=True)
            for step in self._on_node(one, own)
        ]
        by_node = {one.node: one.choices() for one in self.nodes}
        return Plan(
            title=f"Revert {in_words(self.nodes)} to static pods",
            steps=[*steps, *self._last_steps(observer)],
            facts={
                **as_fact(self.nodes, with_cpu=True),
                "Kubernetes": self.situation.git_version,
                "Manifests": self.nodes[0].target.static_pod_path,
                **ways.told(by_node),
            },
            know=self._know(by_node),
        )

    def _on_node(self, one: NodeRevert, steps: RevertSteps) -> list[Step]:
        """Return the steps that turn the control plane of ``one`` into a static one again.

        The steps go component by component, and a DaemonSet's pod goes only when its static pod
        serves. What the pivot has made there goes last: the node's label, the directory on the
        node, the agent.
        """
        bridge = APISERVER in {*one.to_revert, *one.to_exchange}
        guarded = self.situation.has_guardian(one.node)
        several = self.several
        return [
            steps.program(),
            steps.inspect(),
            *([steps.recovery_off()] if guarded else []),
            *([steps.keep_address()] if bridge else []),
            *[steps.switch(handover) for handover in steps.handovers],
            # If other nodes need the DaemonSets, the label keeps their pods here.
            *([steps.unlabel()] if several else []),
            *([steps.pods_ended()] if one.to_revert else []),
            *[steps.exchange(component) for component in one.to_exchange],
            *([steps.release_address()] if bridge else []),
            # Even if a killed run has switched the guardian off already.
            *([steps.recovery_gone()] if one.whole else []),
            *([steps.recovery_on()] if guarded and not one.whole else []),
            *([steps.unlabel()] if one.whole and not several else []),
            *([steps.tidy()] if one.whole else []),
            steps.end_agent(),
            *([steps.settled(one.etcd_members)] if several else []),
        ]

    def _last_steps(self, observer: Observer) -> list[Step]:
        """Return the steps that remove what no node needs any more."""
        found = [self._remove_daemonset(c) for c in self._idle()] if self.several else []
        return [*found, *([self._remove_programs(observer)] if self.whole else [])]

    def _idle(self) -> list[Component]:
        """Return the components, by group, whose DaemonSets have no pod on any node afterwards."""
        meant = {one.node for one in self.nodes}
        left = [n for n in hosted_nodes(self.situation) if n not in meant]
        return [
            own
            for component in COMPONENTS
            for own in component.groups_in(self.situation.daemonsets)
            if not any(self.situation.group(n) == own.group for n in left)
        ]

    def _remove_daemonset(self, component: Component) -> Step:
        name = component.daemonset
        return Step(
            name="/".join(filter(None, ("remove-daemonset", component.name, component.group))),
            title=f"Delete DaemonSet {name}",
            why="static pods serve on its nodes, and no node has its label",
            done=lambda: self.cluster.find(DAEMONSETS, name, NAMESPACE) is None,
            do=lambda: discard(self.cluster.delete(DAEMONSETS, name, NAMESPACE)),
        )

    def _remove_programs(self, observer: Observer) -> Step:
        def remove() -> None:
            program.remove_unused(self.cluster)
            stored_credentials.remove_unused(self.cluster)
            for left in program.foreign(self.cluster):
                observer.warning(f"{left.message} {left.hint}")

        return Step(
            name="remove-program",
            title="Delete the node agent's program (Secrets and ConfigMaps of every build)",
            why="no pod of kubectl selfhost is left to run it",
            done=lambda: (
                not (program.unused(self.cluster) or stored_credentials.unused(self.cluster))
            ),
            do=remove,
        )

    def _know(self, by_node: Mapping[str, Mapping[Component, Choice]]) -> list[str]:
        if not any(by_node.values()):
            return []
        if self.options.from_backup:
            return [_EXACT, _FALLS_BACK]
        first = next(one for one in self.nodes if by_node[one.node])
        choices = by_node[first.node]
        host = first.probe_host(APISERVER) if APISERVER in choices else ""
        return [
            *[self._differences(component) for component in choices],
            *([_SHARING] if any(c.way != ways.WAITING for c in choices.values()) else []),
            *self._one_at_a_time(choices),
            *([_PROBED.format(host=host)] if host else []),
            *self._emulation(choices),
            _FALLS_BACK,
        ]

    def _emulation(self, components: Iterable[Component]) -> list[str]:
        found = {
            course.emulates(component_container(self.situation.daemonset(one)["spec"]["template"]))
            for component in components
            for one in component.groups_in(self.situation.daemonsets)
        }
        return [_EMULATES.format(version=one) for one in sorted(found - {""})]

    @staticmethod
    def _one_at_a_time(choices: Mapping[Component, Choice]) -> list[str]:
        alone = [c.name for c, choice in choices.items() if choice.way == ways.WAITING]
        return [_ONE_AT_A_TIME.format(components=" and ".join(alone))] if alone else []

    def _differences(self, component: Component) -> str:
        """Return what will differ from before the pivot, in words."""
        by_node = {one.node: one.differences(component) for one in self.nodes}
        if len(set(by_node.values())) == 1:
            return f"{component}: {next(iter(by_node.values()))}"
        return f"{component}: " + "; ".join(f"on {node}: {said}" for node, said in by_node.items())


def hosted_nodes(situation: Situation) -> list[str]:
    """Return the nodes that have a trace of a pivot: our label, or a DaemonSet's pod."""
    return [
        name
        for name in situation.node_names
        if situation.is_labelled(name) or situation.has_guardian(name) or situation.hosts(name)
    ]
