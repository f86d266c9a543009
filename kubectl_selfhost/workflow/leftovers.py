"""Finishes what a run that was killed had begun, before a new run makes its plan.

Such a run can leave a component in mid-air: its manifest is away, the new instance may or may not
serve, the agent on the node waits for a word or has ended with its pod. After this, every component
is served by one instance, and the new run starts from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane.component import COMPONENTS, Component, component_named
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import binaries
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.workflow.handover import HandOver
from kubectl_selfhost.workflow.pivot import node_target
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.situation import Situation, static_pod_path

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster


def settle(
    cluster: Cluster,
    situation: Situation,
    *,
    timeout: float,
    observer: Observer,
) -> None:
    """Settles each node. ``timeout`` is each wait's limit in seconds."""
    for node in situation.nodes:
        _settle_node(cluster, situation, node["metadata"]["name"], timeout, observer)


def _settle_node(
    cluster: Cluster, situation: Situation, node: str, timeout: float, observer: Observer
) -> None:
    if not any(situation.instances(component, node) for component in COMPONENTS):
        return
    target = node_target(situation, node, static_pod_path(cluster, node))
    agent = NodeAgent(cluster, target)
    in_mid_air = [
        c
        for c in COMPONENTS
        if c.daemonset in situation.daemonsets and not _is_served(situation, c, node)
    ]
    if agent.find() is None and not in_mid_air:
        return
    observer.note(f"an earlier run was interrupted on node {node}: finishing what it had begun")
    if not agent.runs():
        cluster.apply(binaries.config_map(target.arch))
        agent.start(timeout=timeout, tell=observer.step_waiting)
    state = agent.status()
    if state["state"] == "armed":
        handover = HandOver(
            cluster,
            agent,
            component_named(state["component"]),
            timeout=min(timeout, max(1.0, float(state.get("remaining") or 1.0))),
            tell=observer.step_waiting,
        )
        _finish_or_undo(handover, observer)


def _finish_or_undo(handover: HandOver, observer: Observer) -> None:
    try:
        handover.resume()
        observer.note(f"the self-hosted {handover.component} serves")
    except SelfhostError as error:
        observer.note(f"{error.message} Going back to the static {handover.component}.")
        handover.undo()


def _is_served(situation: Situation, component: Component, node: str) -> bool:
    return any(i.ready or i.kind == "static" for i in situation.instances(component, node))
