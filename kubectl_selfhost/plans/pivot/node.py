"""What a pivot does on one node: its components go from static pods to the DaemonSets' pods.

The order is the safety: the node is looked at before anything is made, all its new pods are up or
waiting before the first static pod goes (no pod need be made or bound while the controller-manager
or the scheduler changes hands), and the apiserver goes first, for the other two can be mended
through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.pod import staticpod, truth
from kubectl_selfhost.controlplane.pod.difference import Difference
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.static_to_daemonset import FromStaticPod
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, NAMESPACE
from kubectl_selfhost.plans.pivot.steps import PivotSteps
from kubectl_selfhost.plans.shared.node_part import NodePart
from kubectl_selfhost.plans.shared.situation import Kubelet

if TYPE_CHECKING:
    from kubectl_selfhost.plans.pivot.plan import Pivot


class NodePivot(NodePart):
    """The part of ``whole`` that is on ``node``."""

    def __init__(self, whole: Pivot, node: str, kubelet: Kubelet) -> None:
        super().__init__(whole.cluster, whole.situation, node, kubelet)
        self.whole = whole
        self.options = whole.options
        unhosted = [c for c in self.options.components if not self.situation.self_hosted(c, node)]
        #: Those that were self-hosted, and whose pods the node is to get back.
        self.to_return = tuple(c for c in unhosted if self.situation.stands_in(c, node))
        self.static = tuple(c for c in unhosted if c not in self.to_return)
        self.handovers: list[FromStaticPod] = []
        self._read: dict[Component, dict] = {}

    @property
    def group(self) -> str:
        """The group of nodes that it is in, or will be."""
        return self.whole.group(self.node)

    @property
    def to_switch(self) -> tuple[Component, ...]:
        """Those that are to change hands."""
        return tuple(self.own(component) for component in self.static)

    def static_pod(self, component: Component) -> dict:
        """The static pod as its manifest says it: once that was read, else from the mirror pod."""
        if component in self._read:
            return staticpod.from_mirror_pod(self._read[component])
        mirror = self.situation.mirror_pod(component, self.node)
        if mirror is None:
            raise SelfhostError(
                f"There is no static pod of {component} on node {self.node}.",
                "See `kubectl selfhost status`.",
            )
        return staticpod.from_mirror_pod(mirror)

    def read(self, component: Component, manifest: dict) -> list[Difference]:
        """Take ``manifest``, which is on the node, for what runs; return what admission made of its
        mirror pod.

        Raises SelfhostError where the mirror tells of something else that runs, or where a DaemonSet
        that the node shares would run something else.
        """
        mirror = self.situation.mirror_pod(component, self.node) or manifest
        found = truth.unexplained(manifest, mirror)
        if found:
            raise SelfhostError(
                f"The manifest of {component} on node {self.node} says something else than the pod "
                f"that runs: {'; '.join(map(str, found))}.",
                "The kubelet has not taken the file, or a webhook changed the mirror pod. Wait until "
                f"the file runs; `kubectl -n {NAMESPACE} delete pod {component.mirror_pod(self.node)}`"
                " has the kubelet make the mirror pod anew, and restarts nothing.",
            )
        self._read[component] = manifest
        self.whole.forget_daemonsets()
        differences = self.whole.differences_on(self)
        if differences:
            raise SelfhostError(
                f"Node {self.node} differs from the nodes whose DaemonSets it is to share: "
                f"{'; '.join(differences)}.",
                "Make the manifests alike, or run it with --when-nodes-differ=separate.",
            )
        return truth.admissions(manifest, mirror)

    @property
    def role(self) -> str:
        """The value of the control-plane label by which the node's DaemonSets look for it."""
        known = [self.situation.daemonsets.get(self.own(c).daemonset, {}) for c in COMPONENTS]
        selectors = [
            one["spec"]["template"]["spec"].get("nodeSelector", {}) for one in known if one
        ]
        return next(
            (one[CONTROL_PLANE_LABEL] for one in selectors if CONTROL_PLANE_LABEL in one), ""
        )

    def choices(self) -> dict[Component, Choice]:
        """The way in which each component will change hands, as far as that is known from afar.

        Raises SelfhostError where the way that was asked for can't be gone.
        """
        return {
            component: ways.choose(
                component,
                ways.best(component, self.static_pod(component), kernel=self.kernel),
                self.options.handover,
            )
            for component in self.to_switch
        }

    def grace_period(self) -> float:
        """Return for how many seconds the static pods may go on after they were told to end."""
        return max((pace.grace_period(self.static_pod(c)) for c in self.to_switch), default=0.0)

    def recoverable(self) -> dict[Component, dict]:
        """The DaemonSets of all components that are or will be self-hosted."""
        existing, own = self.situation.daemonsets, [self.own(c) for c in COMPONENTS]
        found = {c: existing[c.daemonset] for c in own if c.daemonset in existing}
        return found | {c: self.whole.daemonset(c) for c in self.to_switch}

    def steps(self, *, observer: Observer, journal: Journal) -> list[Step]:
        """The steps that make this node's control plane a self-hosted one."""
        steps = PivotSteps(self, observer, journal)
        self.handovers = [
            steps.handover(component, choice) for component, choice in self.choices().items()
        ]
        bridge = APISERVER in self.to_switch
        if not self.to_switch:
            return [
                steps.program(),
                steps.label(),
                *([steps.returned()] if self.to_return else []),
                steps.end_agent(),
                *([steps.settled(self.etcd_members)] if self.whole.several else []),
            ]
        return [
            steps.program(),
            steps.inspect(),
            steps.label(),
            *([steps.recovery()] if self.options.reboot_recovery else []),
            *[steps.daemonset(component) for component in self.to_switch],
            steps.standby(),
            *([steps.keep_address()] if bridge else []),
            *[steps.switch(handover) for handover in self.handovers],
            steps.end_agent(),
            steps.static_ended(),
            *([steps.release_address()] if bridge else []),
            *([steps.settled(self.etcd_members)] if self.whole.several else []),
        ]
