"""Finishes what a run that was killed had begun, before a new run makes its plan.

Such a run can leave a component in mid-air: its manifest is away, the new instance may or may not
serve, the agent on the node waits for a word or has ended with its pod. After this, every component
is served by one instance, and the new run starts from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane.component import COMPONENTS, Component, component_named
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import manifestfile, program
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.workflow import nodes, service_address
from kubectl_selfhost.workflow.conditions import instances_on
from kubectl_selfhost.workflow.from_static_pod import FromStaticPod
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.situation import Situation, read_situation, static_pod_path
from kubectl_selfhost.workflow.to_static_pod import ToStaticPod
from kubectl_selfhost.workflow.ways import SHARED, WAITING, Choice

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


def settle(cluster: Cluster, *, timeout: float, observer: Observer) -> None:
    """Settles each node; needs the run's Lease. ``timeout`` is each wait's limit in seconds."""
    situation = read_situation(cluster)
    for node in situation.nodes:
        _settle_node(cluster, situation, node["metadata"]["name"], timeout, observer)
    if service_address.is_kept(cluster) and not service_address.missing(cluster):
        service_address.release(cluster)


def _settle_node(
    cluster: Cluster, situation: Situation, node: str, timeout: float, observer: Observer
) -> None:
    if not any(situation.instances(component, node) for component in COMPONENTS):
        return
    target = nodes.target(situation, node, static_pod_path(cluster, node))
    agent = NodeAgent(cluster, target)
    in_mid_air = [
        c
        for c in COMPONENTS
        if situation.own(c, node).daemonset in situation.daemonsets
        and not _is_served(situation, c, node)
    ]
    # One of the two may be on its way out: its manifest tells, which only an agent can see.
    doubled = [
        c
        for c in COMPONENTS
        if {i.kind for i in situation.instances(c, node)} >= {STATIC, DAEMONSET}
    ]
    if agent.find() is None and not in_mid_air and not doubled:
        return
    observer.note(f"an earlier run was interrupted on node {node}: finishing what it had begun")
    if not agent.runs():
        program.store(cluster, target.arch)
        agent.start(timeout=timeout, tell=observer.step_waiting)
    state = agent.status()
    if state["state"] == "armed":
        handover = FromStaticPod(
            cluster,
            agent,
            component_named(state["component"]),
            choice=Choice(WAITING),
            timeout=min(timeout, max(1.0, float(state.get("remaining") or 1.0))),
            tell=observer.step_waiting,
        )
        _finish_or_undo(handover, observer)
    if state["state"] in ("placed", "taken-away"):
        _take_away(cluster, agent, situation, state, timeout, observer)
    _wait_for_static_pods_that_end(cluster, agent, timeout, observer)
    if any(situation.stands_in(component, node) for component in COMPONENTS):
        # While an agent is there, the guardian leaves the recovery copies where they are.
        agent.stop(timeout=timeout, tell=observer.step_waiting)


def _wait_for_static_pods_that_end(
    cluster: Cluster, agent: NodeAgent, timeout: float, observer: Observer
) -> None:
    """A static pod whose manifest is away is on its way out, however Ready its mirror looks."""
    from kubectl_selfhost.cluster.waits import Waiting, wait_until

    files = {file.name: file.content for file in agent.manifests()}
    gone = [c for c in COMPONENTS if not manifestfile.files_of(files, c)]

    def ended() -> bool:
        for component in gone:
            for instance in instances_on(cluster, component, agent.target.node):
                if instance.kind == STATIC:
                    raise Waiting(f"the static {component} is ending")
        return True

    wait_until(ended, what="the static pods to end", timeout=timeout, tell=observer.step_waiting)


def _take_away(
    cluster: Cluster,
    agent: NodeAgent,
    situation: Situation,
    state: dict,
    timeout: float,
    observer: Observer,
) -> None:
    """What a revert had placed goes again: the DaemonSet, or the static pod of before, serves on."""
    component = component_named(state["component"])
    if component.daemonset in situation.daemonsets:
        returned = ToStaticPod(
            cluster,
            agent,
            component,
            choice=Choice(SHARED),
            timeout=timeout,
            tell=observer.step_waiting,
        )
        returned.take_back()
    elif state["state"] == "placed":
        agent.put_back(component.name, "the run that placed it was ended")


def _finish_or_undo(handover: FromStaticPod, observer: Observer) -> None:
    try:
        handover.resume()
        observer.note(f"the self-hosted {handover.component} serves")
    except SelfhostError as error:
        observer.note(f"{error.message} Going back to the static {handover.component}.")
        handover.undo()


def _is_served(situation: Situation, component: Component, node: str) -> bool:
    return any(i.ready or i.kind == "static" for i in situation.instances(component, node))
