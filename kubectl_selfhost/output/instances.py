"""The status page's tables of instances: a row for a component, or in the wide view for an instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import Instance
from kubectl_selfhost.health.state import ControlPlane, NodeState
from kubectl_selfhost.health.verdict import Survey
from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import Style, age, clean, wrap

_SERVED_BY = {"static": "static pod", "daemonset": "DaemonSet", "both": "both", "none": "none"}
_DIGEST = 12


def blocks(survey: Survey, style: Style) -> list[list[str]]:
    """Return a table for each node, or one for all nodes that are alike: a column NODE does not
    fit into 80 columns.
    """
    nodes = survey.control_plane.running or survey.control_plane.nodes
    groups: dict[tuple[object, ...], list[NodeState]] = {}
    for node in nodes:
        says = tuple(tuple(_row(survey, c, node)[:_VARYING]) for c in COMPONENTS)
        groups.setdefault((_kind_of_node(node), says), []).append(node)
    found = []
    for alike in groups.values():
        title = wrap(clean(_title(alike)), rest="  ") if len(nodes) > 1 else []
        rows = [_row_of_all(survey, component, alike) for component in COMPONENTS]
        headers = ("COMPONENT", "SERVED BY", "STATUS", "VERSION", "SINCE", "RESTARTS")
        found.append([*title, *table(headers, rows, paint=_painter(style))])
    return found


#: The columns from here on (since, restarts) differ between nodes that are alike.
_VARYING = 4


def _title(alike: Sequence[NodeState]) -> str:
    if len(alike) == 1:
        return f"Node {alike[0].name} ({node_facts(alike[0])})"
    names = ", ".join(node.name for node in alike)
    return f"Nodes {names} (each {_kind_of_node(alike[0])})"


def _row_of_all(survey: Survey, component: Component, alike: Sequence[NodeState]) -> list[object]:
    """Return what the nodes have in common, the youngest instance's age, and the sum of restarts."""
    shown = [_most_telling(node.instances.get(component.name, [])) for node in alike]
    youngest = max(
        (one.since for one in shown if one is not None and one.since is not None), default=None
    )
    row = _row(survey, component, alike[0])
    if shown[0] is not None:
        row[_VARYING:] = [
            age(youngest, survey.taken),
            sum(one.restarts for one in shown if one is not None),
        ]
    return row


def _row(survey: Survey, component: Component, node: NodeState) -> list[object]:
    served_by = _SERVED_BY[survey.control_plane.serves(component, node)]
    shown = _most_telling(node.instances.get(component.name, []))
    if shown is None:
        return [component.name, served_by, "<no pod>", None, None, None]
    since = age(shown.since, survey.taken)
    # Ready and the phase share a column: two columns do not fit into 80.
    status = "Ready" if shown.ready else _status(shown)
    version = image_version(shown.image)
    return [component.name, served_by, status, version, since, shown.restarts]


def image_version(image: str) -> str:
    """Return the tag of an image, or the beginning of its digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest[: len("sha256:") + _DIGEST]


def _most_telling(instances: Sequence[Instance]) -> Instance | None:
    """Return the instance to show for its component: the instance that serves, or should serve."""
    return max(
        instances,
        key=lambda one: (one.ready, not one.terminating, one.kind == "daemonset"),
        default=None,
    )


def _status(instance: Instance) -> str:
    return "waits for port" if instance.waiting_for_port else instance.phase


def wide_table(survey: Survey, style: Style) -> list[str]:
    """Return a table with a row for each instance, and all known facts."""
    seen = survey.control_plane
    headers = (
        *("NODE", "COMPONENT", "KIND", "SERVED BY", "READY", "STATUS", "SINCE", "RESTARTS"),
        *("LEADER", "POD", "IMAGE"),
    )
    rows: list[list[object]] = []
    for node in seen.nodes:
        for component in COMPONENTS:
            served_by = _SERVED_BY[seen.serves(component, node)]
            instances = node.instances.get(component.name, [])
            if not instances:
                none: list[object] = [None, "<no pod>", None, None, None, None, None]
                rows.append([node.name, component.name, None, served_by, *none])
            for one in instances:
                since = age(one.since, survey.taken)
                rows.append(
                    [
                        *(node.name, component.name, one.kind, served_by, one.ready),
                        *(_status(one), since, one.restarts, leads(seen, component, node)),
                        *(one.pod, one.image),
                    ]
                )
    return table(headers, rows, paint=_painter(style))


def leads(seen: ControlPlane, component: Component, node: NodeState) -> bool | None:
    """Return whether the component's leader is on ``node``; None if there is no election."""
    leader = seen.leaders.get(component.name)
    return None if leader is None else leader.current and leader.is_on(node.hosts)


def _painter(style: Style) -> Any:
    colours = {
        ("SERVED BY", "none"): "red",
        ("SERVED BY", "both"): "yellow",
        ("READY", "yes"): "green",
        ("READY", "no"): "red",
        ("STATUS", "Ready"): "green",
    }

    def paint(header: str, cell: str) -> str:
        colour = colours.get((header, cell))
        return style.paint(cell, colour) if colour else cell

    return paint


def node_facts(node: NodeState) -> str:
    return _described(node, node.host_ip)


def _kind_of_node(node: NodeState) -> str:
    """Return what nodes that are alike have in common."""
    return _described(node, "")


def _described(node: NodeState, address: str) -> str:
    ready = {True: "Ready", False: "NotReady", None: "state unknown"}[node.ready]
    facts = [ready, address, node.arch, node.kubelet_version]
    if node.ready is not None and not node.labelled:
        facts.append("no control-plane label")
    if node.group:
        facts.append(f"own DaemonSets, *-{node.group}")
    return ", ".join(fact for fact in facts if fact)
