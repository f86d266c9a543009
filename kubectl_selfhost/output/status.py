"""The status page: what serves each component, what is unfinished, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kubectl_selfhost.controlplane.instance import parse_time
from kubectl_selfhost.health.notices import ROLLOUT, ending
from kubectl_selfhost.health.state import ControlPlane
from kubectl_selfhost.health.unfinished import step_under_way
from kubectl_selfhost.health.verdict import Survey, Verdict
from kubectl_selfhost.output import backups, instances, reboot
from kubectl_selfhost.output.table import pairs, table
from kubectl_selfhost.output.text import PLAIN, Style, age, clean, duration, left, utc, wrap


def page(survey: Survey, *, wide: bool = False, style: Style = PLAIN) -> list[str]:
    """Return the lines of the page. With names of usual length the normal view has 80 columns."""
    seen = survey.control_plane
    blocks = [_header(survey)]
    blocks += [instances.wide_table(survey, style)] if wide else instances.blocks(survey, style)
    blocks += [
        _rollouts(seen),
        _ending(seen),
        *backups.blocks(survey, wide=wide),
        _certificates(survey, style),
        # A run that is in progress may be installing a guardian now.
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
        known.append(("Node", f"{nodes[0].name} ({instances.node_facts(nodes[0])})"))
    else:
        known.append(("Nodes", f"{len(nodes)} control-plane nodes"))
    return pairs(known)


def _rollouts(seen: ControlPlane) -> list[str]:
    rows = [
        [rollout.name, rollout.desired, rollout.current, rollout.ready, rollout.updated]
        for rollout in seen.daemonsets.values()
    ]
    return table(("DAEMONSET", "DESIRED", "CURRENT", "READY", "UPDATED"), rows)


def _ending(seen: ControlPlane) -> list[str]:
    """Return the static pods that a pivot has replaced and that still finish their last requests."""
    found = [one for node in seen.nodes for some in node.instances.values() for one in some]
    names = [one.pod for one in found if one.ending]
    if not names:
        return []
    text = f"{', '.join(names)}, as soon as its last requests are finished (30 s)"
    return wrap(clean(text), first="Ending:       ")


def _certificates(survey: Survey, style: Style) -> list[str]:
    soon = {left(one.not_after, survey.taken) for one in ending(survey.certificates, survey.taken)}

    def paint(header: str, cell: str) -> str:
        return style.paint(cell, "yellow") if header == "LEFT" and cell in soon else cell

    rows = [
        [o.what, utc(o.not_after), left(o.not_after, survey.taken)]
        for o in survey.certificates
        if not o.node  # `credentials status` lists files
    ]
    return table(("CERTIFICATE", "VALID UNTIL", "LEFT"), rows, paint=paint)


def _other_programs(seen: ControlPlane) -> list[str]:
    """Return which DaemonSets have the node agent's program of another build. That is no fault."""
    names = [
        name
        for one in seen.programs
        if not (one.current or one.former or one.wrong or one.missing)
        for name in one.daemonsets
    ]
    if not names:
        return []
    text = (
        f"pods of {', '.join(names)} have another build's program; the next `{ROLLOUT}` gives them "
        "this build's program"
    )
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
    outcome = run.get("outcome") or ("in progress" if going_on else "interrupted")
    words = [f"{run.get('verb', 'a run')}, {outcome}"]
    if ended is not None:
        words.append(f"{age(ended, now)} ago")
        if started is not None and outcome == "done":
            words.append(f"in {duration((ended - started).total_seconds())}")
    elif going_on and step_under_way(run):
        words.append(f"at {step_under_way(run)}")
    if ended is None and started is not None:
        words.append(f"(started {age(started, now)} ago)")
    return " ".join([*words, f"by {run['by']}"] if run.get("by") else words)


def warnings(survey: Survey) -> list[str]:
    """Return the text of the notices that the page does not show elsewhere."""
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
    following = verdict.next or ("nothing to do" if verdict.healthy else "")
    if following:
        lines.append(f"Next:         {clean(following)}")
    return [*lines, *[f"        then: {clean(command)}" for command in verdict.then]]
