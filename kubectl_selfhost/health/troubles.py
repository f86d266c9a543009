"""The troubles of a control plane: what keeps it from being healthy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.facts import WAIT_CONTAINER
from kubectl_selfhost.controlplane.instance import DAEMONSET, Instance
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.health.certificates import YOUR_CLIENT, Expiry
from kubectl_selfhost.health.notices import EXPIRY_FAILURE, PIVOT, RENEW, ROLLOUT, SYNC, WATCH
from kubectl_selfhost.health.state import ControlPlane, NodeState, RolloutState
from kubectl_selfhost.names import NAMESPACE, NODE_LABEL

#: The phases of an instance that may become Ready without help.
_MAY_RECOVER = ("Pending", "ContainerCreating", "PodInitializing", "Terminating", "Running")


@dataclass(frozen=True)
class Trouble:
    """A fault, its reason if known, and the command ``look`` that shows more."""

    what: str
    look: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


def troubles(seen: ControlPlane) -> list[Trouble]:
    """Return the troubles of the control plane, the worst first; empty if it is healthy."""
    found: list[Trouble] = []
    for node in seen.running:
        found += _of_node(seen, node)
    for carrier in seen.programs:
        found += _of_program(carrier)
    for component in COMPONENTS:
        for rollout in seen.daemonsets.values():
            if rollout.component == component.name:
                found += _of_rollout(seen, component, rollout)
        found += _of_leader(seen, component)
    return found


def ending_soon(
    certificates: Sequence[Expiry], seen: ControlPlane, taken: datetime
) -> list[Trouble]:
    """Return the trouble of the certificates that end within EXPIRY_FAILURE, or have ended. The
    certificate of this machine's user does not count.
    """
    found = [
        one
        for one in certificates
        if one.not_after - taken < EXPIRY_FAILURE and one.what != YOUR_CLIENT
    ]
    if not found:
        return []
    first = min(found, key=lambda one: one.not_after)
    days = max(0, (first.not_after - taken).days)
    where = f" on {first.node}" if first.node else ""
    when = f"ends in {days}d" if first.not_after > taken else "has expired"
    hosted = any(node.pivoted for node in seen.nodes)
    return [Trouble(f"the certificate of {first.what}{where} {when}", RENEW if hosted else "")]


def _of_node(seen: ControlPlane, node: NodeState) -> list[Trouble]:
    look = f"kubectl describe node {node.name}"
    if node.ready is False:
        return [Trouble(f"node {node.name} is not Ready", look)]
    found = []
    for component in COMPONENTS:
        if seen.serves(component, node) == "none":
            found.append(
                _unserved(component, node, known=any(n.ready is not None for n in seen.nodes))
            )
    return found


def _of_program(carrier: Carrier) -> list[Trouble]:
    what = carrier.reference
    if carrier.wrong:
        return [
            Trouble(
                f"the {what} does not hold the node agent's program",
                programs.look(what),
                f"{carrier.wrong}; kubectl selfhost did not make this object",
            )
        ]
    if carrier.missing:
        pods = ", ".join(carrier.daemonsets)
        # Sync stores this build's program again. To change to another build's program takes new pods.
        following = SYNC if carrier.current else ROLLOUT
        return [
            Trouble(f"the {what} is gone; without it the pods of {pods} can't start", following)
        ]
    return []


def _unserved(component: Component, node: NodeState, *, known: bool) -> Trouble:
    """Return the trouble of a component that no instance serves. ``known``: the nodes could be read,
    so a node that was not found has lost its labels.
    """
    if component.name in node.standing_in:
        what = f"a recovery copy of {component} serves on {node.name}"
        if node.pivoted or not known:
            return Trouble(what, WATCH)
        return Trouble(
            what, PIVOT, f"the node has lost its label {NODE_LABEL}, so no DaemonSet runs there"
        )
    instances = node.instances.get(component.name, [])
    if not instances:
        look = f"kubectl -n {NAMESPACE} get pods --field-selector=spec.nodeName={node.name}"
        return Trouble(f"{component} has no pod on {node.name}", look)
    # The instance that should serve: the newest.
    instance = max(instances, key=lambda one: (not one.terminating, one.kind == DAEMONSET))
    what = f"{component} doesn't serve on {node.name}"
    return Trouble(what, look_at(instance), why(instance))


def why(instance: Instance) -> str:
    """Return why an instance isn't Ready, in a few words."""
    if instance.waiting_for_port:
        return "waits for its port"
    return instance.reason or instance.phase


def look_at(instance: Instance) -> str:
    """Return the command that shows more about an instance that isn't Ready."""
    if instance.waiting_for_port:
        return f"kubectl -n {NAMESPACE} logs {instance.pod} -c {WAIT_CONTAINER}"
    previous = " --previous" if instance.phase == "CrashLoopBackOff" else ""
    if previous or instance.phase in ("Running", "Error"):
        return f"kubectl -n {NAMESPACE} logs {instance.pod}{previous}"
    return f"kubectl -n {NAMESPACE} describe pod {instance.pod}"


def _of_rollout(seen: ControlPlane, component: Component, rollout: RolloutState) -> list[Trouble]:
    if not any(seen.self_hosted(component, node) for node in seen.nodes):
        # While static pods serve, a DaemonSet without pods is unfinished, not a trouble.
        return []
    if rollout.complete:
        return []
    name = f"DaemonSet {rollout.name}"
    if rollout.desired == 0:
        what = f"{name} has no node to run on"
        return [Trouble(what, f"kubectl -n {NAMESPACE} describe daemonset {rollout.name}")]
    numbers = f"{rollout.updated} of {rollout.desired} pods updated, {rollout.ready} Ready"
    stuck = _stuck(seen, component)
    look = f"kubectl -n {NAMESPACE} rollout status daemonset/{rollout.name}"
    if stuck is not None:
        return [Trouble(f"the rollout of {name} is stuck: {numbers}", look_at(stuck), why(stuck))]
    return [Trouble(f"the rollout of {name} is in progress: {numbers}", look)]


def _stuck(seen: ControlPlane, component: Component) -> Instance | None:
    """Return an instance of a rollout that needs help to become Ready, or None."""
    for node in seen.nodes:
        for instance in node.instances.get(component.name, []):
            if not instance.ready and instance.phase not in _MAY_RECOVER and instance.reason:
                return instance
    return None


def _of_leader(seen: ControlPlane, component: Component) -> list[Trouble]:
    leader = seen.leaders.get(component.name)
    if leader is None or leader.current:
        return []
    look = f"kubectl -n {leader.namespace} describe lease {leader.name}"
    return [Trouble(f"no {component} leads", look, f"the lease of {leader.holder} has expired")]
