"""The verdict on a control plane's state: one word, one sentence, and what to type next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.daemonset.facts import WAIT_CONTAINER
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC, Instance
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.notices import ROLLOUT, SYNC, Notice, commands, notices
from kubectl_selfhost.health.state import ControlPlane, NodeState, RolloutState
from kubectl_selfhost.names import ADDRESS_SLICE, NAMESPACE

#: The states. Their words are part of ``-o json``: never change one.
RUN_IN_PROGRESS = "run-in-progress"
DEGRADED = "degraded"
PARTLY_PIVOTED = "partly-pivoted"
STATIC_PODS = "static"
SELF_HOSTED = "self-hosted"
UNKNOWN = "unknown"

PIVOT = "kubectl selfhost pivot"
WATCH = "kubectl selfhost status --watch"

#: The verbs that change something; each settles first what an earlier run left.
_VERBS = ("pivot", "revert", "rollout", "sync")

_MEND_BY_ITSELF = ("Pending", "ContainerCreating", "PodInitializing", "Terminating", "Running")


@dataclass(frozen=True)
class Trouble:
    """Something that isn't as it should be, why (as far as known), and what shows more of it.

    ``look`` is a command.
    """

    what: str
    look: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


@dataclass(frozen=True)
class Verdict:
    """The verdict: ``state`` is one of the words above; ``next`` is a command, empty if there is
    none, and ``then`` are the commands to run after it.

    ``healthy`` is True for a settled control plane whose every component is served: a static one
    just as well as a self-hosted one.
    """

    state: str
    message: str
    next: str = ""
    healthy: bool = False
    troubles: list[Trouble] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    then: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Survey:
    """What was seen of a cluster, ``taken`` at a time of this machine's clock.

    ``unread`` says what could not be read and why; ``essential`` names what no verdict can do
    without, in the same words.
    """

    context: str
    server: str
    version: str
    taken: datetime
    control_plane: ControlPlane
    certificates: Sequence[Expiry] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    essential: Sequence[str] = ()

    @property
    def notices(self) -> list[Notice]:
        """Return what is well now and soon may not be, and what could not be read."""
        return notices(
            self.control_plane,
            certificates=self.certificates,
            taken=self.taken,
            unread=self.unread,
        )

    @property
    def verdict(self) -> Verdict:
        """Return the verdict with what to do, also about the notices."""
        missing = [what for what in self.essential if what in self.unread]
        return _with(judge(self.control_plane, unread=missing), commands(self.notices))


def _with(verdict: Verdict, more: Sequence[str]) -> Verdict:
    """Return the verdict with the commands that notices ask for after its own."""
    # An optional pivot comes after what a warning asks for.
    own = [verdict.next] if verdict.next else []
    todo = [*more, *own] if verdict.state == STATIC_PODS else [*own, *more]
    todo = list(dict.fromkeys(todo))
    return replace(verdict, next=todo[0] if todo else "", then=todo[1:])


def judge(seen: ControlPlane, *, unread: Sequence[str] = ()) -> Verdict:
    """Return the verdict on ``seen``; ``unread`` is what could not be read, which leaves the
    verdict open.
    """
    found, left = troubles(seen), unfinished(seen)

    def verdict(state: str, message: str, next_: str = "", *, healthy: bool = False) -> Verdict:
        return Verdict(state, message, next_, healthy, found, left)

    run = seen.run_going_on
    if run is not None:
        return verdict(RUN_IN_PROGRESS, f"a run is going on now, by {run.holder}", WATCH)
    if not seen.nodes or all(node.empty for node in seen.nodes):
        return _nothing_seen(seen, unread)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        # The next run finishes what an earlier run left half done; anything else needs a person's look.
        next_ = _again(seen) if left else found[0].look
        return verdict(DEGRADED, f"degraded: {found[0].what}{more}", next_)
    if unread:
        return verdict(UNKNOWN, f"{' and '.join(unread)} could not be read, so this is only a part")
    kinds = {seen.serves(component, node) for node in seen.running for component in COMPONENTS}
    nodes = f"{len(seen.running)} node" + ("s" if len(seen.running) > 1 else "")
    if kinds == {DAEMONSET} and not left:
        return verdict(SELF_HOSTED, f"self-hosted on {nodes}, healthy", healthy=True)
    if kinds == {STATIC} and not left:
        message = f"static pods on {nodes}, healthy; not self-hosted"
        return verdict(STATIC_PODS, message, PIVOT, healthy=True)
    return verdict(PARTLY_PIVOTED, _how_far(seen), _again(seen))


def _again(seen: ControlPlane) -> str:
    """Return the command that goes on where the last run stopped: each verb settles what is left."""
    last = seen.last_run or {}
    stopped = last.get("outcome") != "done" and last.get("verb") in _VERBS
    return f"kubectl selfhost {last['verb']}" if stopped else PIVOT


def _nothing_seen(seen: ControlPlane, unread: Sequence[str]) -> Verdict:
    if unread:
        return Verdict(UNKNOWN, "the control plane could not be read")
    where = (
        f"no kubeadm control plane on {', '.join(node.name for node in seen.nodes)}"
        if seen.nodes
        else "this cluster shows no control-plane node"
    )
    return Verdict(UNKNOWN, f"{where}: kubectl selfhost is for control planes that kubeadm made")


def _how_far(seen: ControlPlane) -> str:
    cells = [(component, node) for node in seen.running for component in COMPONENTS]
    done = sum(seen.self_hosted(component, node) for component, node in cells)
    if done == len(cells):
        return "self-hosted, but something of an earlier run is left over"
    if done == 0:
        return "static pods serve, but something of an earlier run is left over"
    return f"partly pivoted: {done} of {len(cells)} components are self-hosted"


def troubles(seen: ControlPlane) -> list[Trouble]:
    """Return what keeps the control plane from being healthy, the worst first; empty if nothing
    does.
    """
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
                f"{carrier.wrong}; kubectl selfhost did not make it",
            )
        ]
    if carrier.missing:
        pods = ", ".join(carrier.daemonsets)
        # Sync stores this build's program again; a change to another build's program takes new pods.
        following = SYNC if carrier.current else ROLLOUT
        return [
            Trouble(f"the {what} is gone, and pods of {pods} can't start without it", following)
        ]
    return []


def _unserved(component: Component, node: NodeState, *, known: bool) -> Trouble:
    """Return the trouble of a component that nobody serves. ``known``: nodes could be read, so that
    a node which wasn't found has lost its labels.
    """
    if component.name in node.standing_in:
        what = f"a recovery copy stands in for {component} on {node.name}"
        if node.pivoted or not known:
            return Trouble(what, WATCH)
        return Trouble(what, PIVOT, "the node has lost our label, so no DaemonSet runs there")
    instances = node.instances.get(component.name, [])
    if not instances:
        look = f"kubectl -n {NAMESPACE} get pods --field-selector=spec.nodeName={node.name}"
        return Trouble(f"{component} has no pod on {node.name}", look)
    # The instance that was meant to serve: the last that came.
    instance = max(instances, key=lambda one: (not one.terminating, one.kind == DAEMONSET))
    what = f"{component} doesn't serve on {node.name}"
    return Trouble(what, look_at(instance), why(instance))


def why(instance: Instance) -> str:
    """Return why an instance isn't Ready, in a few words."""
    if instance.waiting_for_port:
        return "it waits for its port"
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
        # While static pods serve, a DaemonSet that runs nothing is unfinished, not a trouble.
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
        return [Trouble(f"{name} is stuck: {numbers}", look_at(stuck), why(stuck))]
    return [Trouble(f"{name} is being rolled out: {numbers}", look)]


def _stuck(seen: ControlPlane, component: Component) -> Instance | None:
    """Return an instance of a roll-out that won't get on by itself, if there is one."""
    for node in seen.nodes:
        for instance in node.instances.get(component.name, []):
            if not instance.ready and instance.phase not in _MEND_BY_ITSELF and instance.reason:
                return instance
    return None


def _of_leader(seen: ControlPlane, component: Component) -> list[Trouble]:
    leader = seen.leaders.get(component.name)
    if leader is None or leader.current:
        return []
    look = f"kubectl -n {leader.namespace} describe lease {leader.name}"
    return [Trouble(f"no {component} leads", look, f"the lease of {leader.holder} has run out")]


def unfinished(seen: ControlPlane) -> list[str]:
    """Return what earlier runs have left behind, in sentences; empty while a run is going on."""
    if seen.run_going_on is not None:
        return []
    left = []
    run = seen.unfinished_run
    if run is not None:
        step = step_under_way(run)
        where = f" in the step {step}" if step else ""
        left.append(f"The last {run.get('verb', 'run')} was interrupted{where}.")
    left += [f"The agent's pod {pod.name} is left over ({pod.phase})." for pod in seen.agents]
    if seen.kept_addresses:
        kept = ", ".join(seen.kept_addresses)
        left.append(f"EndpointSlice {ADDRESS_SLICE} still keeps {kept} in the Service kubernetes.")
    for node in seen.nodes:
        left += _of_both(seen, node)
    if not left:
        left += _idle_daemonsets(seen)
    return left


def step_under_way(run: Mapping[str, Any]) -> str:
    """Return the name of the step that a run in the journal has begun and not ended; empty without
    one.
    """
    steps = run.get("steps")
    for step in reversed(steps if isinstance(steps, list) else []):
        if isinstance(step, dict) and not step.get("ended"):
            return str(step.get("name", ""))
    return ""


def _of_both(seen: ControlPlane, node: NodeState) -> list[str]:
    """Return sentences on components that have an instance of either kind on a node."""
    left, waiting = [], []
    for component in COMPONENTS:
        serves = seen.serves(component, node)
        if serves == "both":
            left.append(
                f"Both the static pod and the DaemonSet's serve {component} on {node.name}."
            )
        for one in node.instances.get(component.name, []) if serves == STATIC else []:
            if one.kind == DAEMONSET and one.waiting_for_port:
                waiting.append(component.name)
            elif one.kind == DAEMONSET:
                left.append(f"The pod {one.pod} is there beside the static one: {why(one)}.")
    if waiting:
        names = " and ".join([", ".join(waiting[:-1]), waiting[-1]] if waiting[1:] else waiting)
        left.append(f"On {node.name} the self-hosted {names} wait beside the static pods.")
    return left


def _idle_daemonsets(seen: ControlPlane) -> list[str]:
    """Return sentences on self-hosted DaemonSets that run nothing, while static pods serve
    everywhere.
    """
    return [
        f"DaemonSet {rollout.name} exists, and runs nothing."
        for rollout in seen.daemonsets.values()
        if rollout.ours and rollout.desired == 0 and rollout.current == 0
    ]
