"""The leftovers of earlier runs, as far as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.health.state import ControlPlane, NodeState
from kubectl_selfhost.health.troubles import why
from kubectl_selfhost.names import ADDRESS_SLICE


def unfinished(seen: ControlPlane) -> list[str]:
    """Return the leftovers of earlier runs, in sentences; empty while a run is in progress."""
    if seen.run_going_on is not None:
        return []
    left = []
    run = seen.unfinished_run
    if run is not None:
        step = step_under_way(run)
        where = f" in the step {step}" if step else ""
        left.append(f"The last {run.get('verb', 'run')} was interrupted{where}.")
    left += [f"The node agent's pod {pod.name} is left over ({pod.phase})." for pod in seen.agents]
    if seen.kept_addresses:
        kept = ", ".join(seen.kept_addresses)
        left.append(f"EndpointSlice {ADDRESS_SLICE} still keeps {kept} in the Service kubernetes.")
    for node in seen.nodes:
        left += _of_both(seen, node)
    if not left:
        left += _idle_daemonsets(seen)
    return left


def step_under_way(run: Mapping[str, Any]) -> str:
    """Return the name of the step that a run in the journal began and did not end; else empty."""
    steps = run.get("steps")
    for step in reversed(steps if isinstance(steps, list) else []):
        if isinstance(step, dict) and not step.get("ended"):
            return str(step.get("name", ""))
    return ""


def _of_both(seen: ControlPlane, node: NodeState) -> list[str]:
    """Return sentences on components that have a static pod and a DaemonSet's pod on the node."""
    left, waiting = [], []
    for component in COMPONENTS:
        serves = seen.serves(component, node)
        if serves == "both":
            left.append(
                f"Both the static pod and the DaemonSet's pod serve {component} on {node.name}."
            )
        for one in node.instances.get(component.name, []) if serves == STATIC else []:
            if one.kind == DAEMONSET and one.waiting_for_port:
                waiting.append(component.name)
            elif one.kind == DAEMONSET:
                left.append(f"The pod {one.pod} exists beside the static pod: {why(one)}.")
    if waiting:
        names = " and ".join([", ".join(waiting[:-1]), waiting[-1]] if waiting[1:] else waiting)
        left.append(f"On {node.name} the self-hosted pods of {names} wait beside the static pods.")
    return left


def _idle_daemonsets(seen: ControlPlane) -> list[str]:
    """Return sentences on self-hosted DaemonSets without pods, while static pods serve everywhere."""
    return [
        f"DaemonSet {rollout.name} exists, but has no pods."
        for rollout in seen.daemonsets.values()
        if rollout.ours and rollout.desired == 0 and rollout.current == 0
    ]
