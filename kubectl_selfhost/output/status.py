"""The status page: one look at who serves what, what is unfinished, and what to do next."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import STATIC, Instance, parse_time
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.notices import ROLLOUT, ending
from kubectl_selfhost.health.state import ControlPlane, NodeState
from kubectl_selfhost.health.verdict import Survey, Verdict, step_under_way
from kubectl_selfhost.output import reboot
from kubectl_selfhost.output.table import pairs, table
from kubectl_selfhost.output.text import PLAIN, Style, age, clean, duration, utc, wrap

_SERVED_BY = {"static": "static pod", "daemonset": "DaemonSet", "both": "both", "none": "none"}
_DIGEST = 12


def page(survey: Survey, *, wide: bool = False, style: Style = PLAIN) -> list[str]:
    """Return the lines of the page; the usual view is 80 columns wide if names are of usual length."""
    seen = survey.control_plane
    blocks = [_header(survey)]
    blocks += [_wide_instances(survey, style)] if wide else _instances(survey, style)
    blocks += [
        _rollouts(seen),
        *_backups(survey, wide=wide),
        _certificates(survey, style),
        # A run that is going on may be installing a guardian now.
        reboot.lines(seen.nodes) if seen.run_going_on is None else [],
        _other_programs(seen),
        _history(survey),
        _notes(survey, style),
        _verdict(survey.verdict, style),
    ]
    lines: list[str] = []
    for block in blocks:
        if block:
            lines += ["", *block] if lines else block
    return lines


def _header(survey: Survey) -> list[str]:
    nodes = survey.control_plane.nodes
    known: list[tuple[str, object]] = [
        ("Context", survey.context),
        ("Server", survey.server),
        ("Kubernetes", survey.version or "<unknown>"),
    ]
    if len(nodes) == 1:
        known.append(("Node", f"{nodes[0].name} ({_node_facts(nodes[0])})"))
    else:
        known.append(("Nodes", f"{len(nodes)} control-plane nodes"))
    return pairs(known)


def _node_facts(node: NodeState) -> str:
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


def _instances(survey: Survey, style: Style) -> list[list[str]]:
    """Return a table for each node, or one for all nodes that are alike: a NODE column would not
    fit.
    """
    nodes = survey.control_plane.running or survey.control_plane.nodes
    groups: dict[tuple[object, ...], list[NodeState]] = {}
    for node in nodes:
        says = tuple(tuple(_row(survey, c, node)[:_VARYING]) for c in COMPONENTS)
        groups.setdefault((_kind_of_node(node), says), []).append(node)
    blocks = []
    for alike in groups.values():
        title = wrap(clean(_title(alike)), rest="  ") if len(nodes) > 1 else []
        rows = [_row_of_all(survey, component, alike) for component in COMPONENTS]
        headers = ("COMPONENT", "SERVED BY", "STATUS", "VERSION", "SINCE", "RESTARTS")
        blocks.append([*title, *table(headers, rows, paint=_painter(style))])
    return blocks


#: The columns from here on (since, restarts) differ between nodes that are alike.
_VARYING = 4


def _title(alike: Sequence[NodeState]) -> str:
    if len(alike) == 1:
        return f"Node {alike[0].name} ({_node_facts(alike[0])})"
    names = ", ".join(node.name for node in alike)
    return f"Nodes {names} (each {_kind_of_node(alike[0])})"


def _row_of_all(survey: Survey, component: Component, alike: Sequence[NodeState]) -> list[object]:
    """Return what the nodes have in common; the youngest instance's age, and the restarts of all."""
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
    # Ready and phase share a column: with the longest phase, two columns would not fit into 80.
    status = "Ready" if shown.ready else _status(shown)
    version = image_version(shown.image)
    return [component.name, served_by, status, version, since, shown.restarts]


def image_version(image: str) -> str:
    """Return the tag of an image, or the beginning of its digest."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag or digest[: len("sha256:") + _DIGEST]


def _most_telling(instances: Sequence[Instance]) -> Instance | None:
    """Return the instance that stands for its component: the instance that serves, or was meant to
    serve.
    """
    return max(
        instances,
        key=lambda one: (one.ready, not one.terminating, one.kind == "daemonset"),
        default=None,
    )


def _status(instance: Instance) -> str:
    return "waits for port" if instance.waiting_for_port else instance.phase


def _wide_instances(survey: Survey, style: Style) -> list[str]:
    """Return every instance in a row of its own, with all that is known."""
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


def _rollouts(seen: ControlPlane) -> list[str]:
    rows = [
        [rollout.name, rollout.desired, rollout.current, rollout.ready, rollout.updated]
        for rollout in seen.daemonsets.values()
    ]
    return table(("DAEMONSET", "DESIRED", "CURRENT", "READY", "UPDATED"), rows)


def backups(seen: ControlPlane) -> list[dict[str, Any]]:
    """Return the manifests that are kept on nodes, as the journal lists them; ignore unknown
    entries.

    A component whose static pod is there has its manifest back, whatever the journal says. A node
    that left the cluster took its manifests with it.
    """
    known = {node.name for node in seen.nodes}
    static = {
        (node.name, component)
        for node in seen.nodes
        for component, instances in node.instances.items()
        if any(one.kind == STATIC for one in instances)
    }
    nodes = seen.journal.get("nodes")
    return [
        {**facts, "node": node, "component": component}
        for node, components in _items(nodes)
        for component, facts in _items(components)
        if isinstance(facts, dict) and facts.get("backup") and facts.get("switched_at")
        if (node, component) not in static and node in known
    ]


def _items(thing: object) -> Iterable[tuple[str, Any]]:
    return thing.items() if isinstance(thing, dict) else ()


def _backups(survey: Survey, *, wide: bool) -> list[list[str]]:
    """Return one block a node; paths are below their common directory, so that they fit."""
    by_node: dict[str, list[dict[str, Any]]] = {}
    for one in backups(survey.control_plane):
        by_node.setdefault(one["node"], []).append(one)
    blocks: list[list[str]] = []
    if len(by_node) > 1 and not wide:
        directories = {
            _common_directory([str(one["backup"]) for one in k]) for k in by_node.values()
        }
        where = f"Back-ups on {', '.join(by_node)} in {', '.join(sorted(directories))}"
        return [wrap(clean(f"{where} (-o wide lists them)"), rest="  ")]
    for node, kept in by_node.items():
        paths = [str(one["backup"]) for one in kept]
        directory = _common_directory(paths)
        digest = None if wide else _DIGEST
        rows = [
            [
                posixpath.relpath(path, directory),
                str(one.get("sha256") or "<unknown>")[:digest],
                age(parse_time(one.get("switched_at")), survey.taken),
            ]
            for one, path in zip(kept, paths, strict=True)
        ]
        title = f"Back-ups on {clean(node)} in {clean(directory)}"
        blocks.append([title, *table(("FILE", "SHA256", "SWITCHED"), rows)])
    return blocks


def _common_directory(paths: Sequence[str]) -> str:
    """Return our directory on the node, in which each component has a directory of its own."""
    above = {posixpath.dirname(posixpath.dirname(path)) for path in paths}
    return above.pop() if len(above) == 1 else "/"


def _certificates(survey: Survey, style: Style) -> list[str]:
    soon = {_left(one, survey.taken) for one in ending(survey.certificates, survey.taken)}

    def paint(header: str, cell: str) -> str:
        return style.paint(cell, "yellow") if header == "LEFT" and cell in soon else cell

    rows = [[o.what, utc(o.not_after), _left(o, survey.taken)] for o in survey.certificates]
    return table(("CERTIFICATE", "VALID UNTIL", "LEFT"), rows, paint=paint)


def _left(one: Expiry, now: datetime) -> str:
    seconds = (one.not_after - now).total_seconds()
    return "expired" if seconds <= 0 else duration(seconds)


def _other_programs(seen: ControlPlane) -> list[str]:
    """Return which DaemonSets have the node agent's program of another build: nothing is wrong with
    this.
    """
    names = [
        name
        for one in seen.programs
        if not (one.current or one.former or one.wrong or one.missing)
        for name in one.daemonsets
    ]
    if not names:
        return []
    text = f"another build's in {', '.join(names)}; the next `{ROLLOUT}` brings this one's"
    return wrap(clean(text), first="Node agent:   ")


def _history(survey: Survey) -> list[str]:
    last = survey.control_plane.last_run
    if last is None:
        return []
    going_on = survey.control_plane.run_going_on is not None
    lines = wrap(clean(last_run(last, survey.taken, going_on=going_on)), first="Last run:     ")
    message = last.get("message")
    if message and last.get("outcome") != "done":
        lines += wrap(clean(message), first=" " * 14)
    return lines


def last_run(run: Mapping[str, Any], now: datetime, *, going_on: bool = False) -> str:
    """Return the journal's entry of a run, in a line."""
    started, ended = parse_time(run.get("started")), parse_time(run.get("ended"))
    outcome = run.get("outcome") or ("going on" if going_on else "interrupted")
    words = [f"{run.get('verb', 'a run')}, {outcome}"]
    if ended is not None:
        words.append(f"{age(ended, now)} ago")
        if started is not None and outcome == "done":
            words.append(f"in {duration((ended - started).total_seconds())}")
    elif going_on and step_under_way(run):
        words.append(f"at {step_under_way(run)}")
    if ended is None and started is not None:
        words.append(f"(begun {age(started, now)} ago)")
    return " ".join([*words, f"by {run['by']}"] if run.get("by") else words)


def warnings(survey: Survey) -> list[str]:
    """Return the notices that the page doesn't show elsewhere, in sentences."""
    return [notice.text for notice in survey.notices if not notice.told]


def _notes(survey: Survey, style: Style) -> list[str]:
    verdict = survey.verdict
    lines: list[str] = []
    if verdict.unfinished:
        lines += ["Unfinished:", *_bullets(verdict.unfinished)]
    if len(verdict.troubles) > 1 or any(trouble.why for trouble in verdict.troubles):
        lines += ["Troubles:", *_bullets([str(trouble) for trouble in verdict.troubles])]
    for text in warnings(survey):
        head = style.paint("Warning:", "yellow")
        lines += wrap(clean(text), first=f"{head} ", rest=" " * 9)
    return lines


def _bullets(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in wrap(clean(text), first="  - ")]


def _verdict(verdict: Verdict, style: Style) -> list[str]:
    colour = "green" if verdict.healthy else "yellow" if not verdict.troubles else "red"
    lines = wrap(clean(verdict.message), first="Verdict:      ")
    lines = [line.replace("Verdict:", style.paint("Verdict:", colour), 1) for line in lines]
    following = verdict.next or ("nothing that needs doing" if verdict.healthy else "")
    if following:
        lines.append(f"Next:         {clean(following)}")
    return [*lines, *[f"        then: {clean(command)}" for command in verdict.then]]
