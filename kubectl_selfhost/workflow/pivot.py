"""The pivot's plan: static pods to DaemonSets, on one node.

The order is the safety: the node is looked at before anything is made, all DaemonSets have their
pods up or waiting before the first static pod goes (no pod need be made or bound while the
controller-manager or the scheduler changes hands), and the apiserver goes first, for the other two
can be mended through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane import daemonset, staticpod
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset import AgentFacts, NodeFacts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import binaries
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.workflow import ways
from kubectl_selfhost.workflow.from_static_pod import FromStaticPod
from kubectl_selfhost.workflow.journal import Journal
from kubectl_selfhost.workflow.pivot_steps import PivotSteps
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.situation import Situation
from kubectl_selfhost.workflow.step import Plan
from kubectl_selfhost.workflow.ways import Choice

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

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
    """What a person may choose. ``timeout`` is the limit of each wait, in seconds; ``handover`` the
    way in which ports change hands (``ways``); ``reboot_recovery``: the node gets a guardian."""

    components: tuple[Component, ...] = COMPONENTS
    timeout: float = 300.0
    handover: str = ways.AUTO
    ignore: tuple[str, ...] = ()
    reboot_recovery: bool = True

    @property
    def allow_admission_changes(self) -> bool:
        return bool({"admission", "all"} & {name.strip().lower() for name in self.ignore})


class Pivot:
    """A pivot of one node, from a situation that was read before."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        node: str,
        static_pod_path: str,
        options: PivotOptions,
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.node = node
        self.options = options
        self.target = node_target(situation, node, static_pod_path)
        self.agent = NodeAgent(cluster, self.target)
        self.to_switch = tuple(c for c in options.components if not situation.self_hosted(c, node))
        self.handovers: list[FromStaticPod] = []

    def daemonsets(self) -> dict[Component, dict]:
        """The DaemonSets of the components that are still to be switched."""
        return {
            component: daemonset.build(
                component,
                self.static_pod(component),
                nodes=[self.node_facts()],
                agent=AgentFacts(
                    arch=self.target.arch,
                    configmap=binaries.config_map_name(self.target.arch),
                    node_directory=self.target.directory,
                ),
            )
            for component in self.to_switch
        }

    def manifests(self) -> list[dict]:
        """Everything that the pivot applies, as for ``kubectl apply -f -``."""
        return [binaries.config_map(self.target.arch), *self.daemonsets().values()]

    def static_pod(self, component: Component) -> dict:
        """The static pod as its manifest says it, from the mirror pod."""
        mirror = self.situation.mirror_pod(component, self.node)
        if mirror is None:
            raise SelfhostError(
                f"There is no static pod of {component} on node {self.node}.",
                "See `kubectl selfhost status`.",
            )
        return staticpod.from_mirror_pod(mirror)

    def choices(self) -> dict[Component, Choice]:
        """The way in which each component will change hands, as far as that is known from afar.

        Raises SelfhostError where the way that was asked for can't be gone.
        """
        kernel = self.situation.node(self.node)["status"]["nodeInfo"]["kernelVersion"]
        return {
            component: ways.choose(
                component,
                ways.best(
                    component,
                    kernel=kernel,
                    bind_address=staticpod.bind_address(self.static_pod(component), component),
                ),
                self.options.handover,
            )
            for component in self.to_switch
        }

    def recoverable(self) -> dict[Component, dict]:
        """The DaemonSets of all components that are or will be self-hosted."""
        existing = self.situation.daemonsets
        found = {c: existing[c.daemonset] for c in COMPONENTS if c.daemonset in existing}
        return found | self.daemonsets()

    def advertise_address(self) -> str:
        """The address of the node's apiserver in the Service ``kubernetes``."""
        facts = self.node_facts()
        return facts.advertise_address or facts.host_ip

    def node_facts(self) -> NodeFacts:
        """The node, as its DaemonSets and recovery copies need to know it."""
        apiserver = self.situation.mirror_pod(APISERVER, self.node)
        return NodeFacts(
            name=self.node,
            host_ip=host_ip(self.situation.node(self.node)),
            advertise_address=staticpod.advertise_address(apiserver) if apiserver else None,
            arch=self.target.arch,
        )

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """The steps that turn the situation into a self-hosted control plane."""
        steps = PivotSteps(self, observer, journal)
        self.handovers = [
            steps.handover(component, choice) for component, choice in self.choices().items()
        ]
        bridge = APISERVER in self.to_switch
        return Plan(
            title=f"Pivot node {self.node} to a self-hosted control plane",
            steps=[
                steps.program(),
                steps.inspect(),
                steps.label(),
                *([steps.recovery()] if self.options.reboot_recovery else []),
                *[steps.daemonset(c, m) for c, m in self.daemonsets().items()],
                steps.standby(),
                *([steps.keep_address()] if bridge else []),
                *[steps.switch(handover) for handover in self.handovers],
                steps.static_ended(),
                *([steps.release_address()] if bridge else []),
                steps.end_agent(),
            ],
            facts={
                "Node": f"{self.node} ({self.target.arch})",
                "Kubernetes": self.situation.git_version,
                "Manifests": self.target.static_pod_path,
                "Kept in": self.target.directory,
                **{str(h.component): str(h.choice) for h in self.handovers},
            },
            know=[
                "The manifests are renamed, not deleted; nothing on the node is overwritten.",
                _FALLS_BACK,
                _AFTERWARDS,
                _AFTER_A_REBOOT[self.options.reboot_recovery],
            ],
        )


def node_target(situation: Situation, node: str, static_pod_path: str) -> NodeTarget:
    """Where the agent of ``node`` works, and the image that it runs in: the apiserver's own."""
    pods = [
        pod
        for pod in situation.pods
        if pod["spec"].get("nodeName") == node and staticpod.component_of(pod) == APISERVER
    ]
    if not pods:
        raise SelfhostError(
            f"No pod of kube-apiserver is to be seen on node {node}.",
            "Is it a control-plane node of a kubeadm cluster? See `kubectl selfhost status`.",
        )
    containers = pods[0]["spec"]["containers"]
    own = next((c for c in containers if c["name"] == APISERVER.name), containers[0])
    return NodeTarget(
        node=node,
        arch=situation.node(node)["status"]["nodeInfo"]["architecture"],
        image=own["image"],
        static_pod_path=static_pod_path,
    )


def host_ip(node: dict) -> str:
    """The node's address that its host-network pods have as ``status.hostIP``."""
    for address in node["status"].get("addresses", []):
        if address["type"] == "InternalIP":
            return address["address"]
    return ""
