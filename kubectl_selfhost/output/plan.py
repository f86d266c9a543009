"""The plan as a person reads it before the run: each step, its reason, and what clients miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from kubectl_selfhost.output.table import pairs
from kubectl_selfhost.output.text import PLAIN, Style, clean, wrap


def page(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    facts: Mapping[str, object] | None = None,
    know: Sequence[str] = (),
    style: Style = PLAIN,
) -> list[str]:
    """Return the lines of the plan.

    ``rows`` are the steps, each with number, name, node, title, why, and unavailable (None, or what
    clients miss during the step). Nodes with the same steps share one list. ``facts`` are results of
    the checks, ``know`` are sentences that a person should know.
    """
    lines = [style.paint(clean(title), "bold")]
    if facts:
        lines += ["", *pairs(list(facts.items()))]
    digits = len(str(len(rows)))
    groups = _alike(rows)
    for nodes, of_first in groups:
        heading = _heading(nodes, len(of_first)) if len(groups) > 1 or len(nodes) > 1 else "Steps:"
        lines += ["", *wrap(clean(heading))]
        for row in of_first:
            lines += _step(row, digits, style)
    lines += ["", *_unavailable(rows)]
    if know:
        lines += ["", "Good to know:"]
        lines += [line for text in know for line in wrap(clean(text), first="  - ")]
    return lines


def _alike(
    rows: Sequence[Mapping[str, Any]],
) -> list[tuple[list[str], list[Mapping[str, Any]]]]:
    """Group the rows in their order: rows of one node that follow each other, together with the
    same rows of the nodes after it. Return each group: its nodes, and the first node's rows.
    """
    found: list[tuple[list[str], list[Mapping[str, Any]]]] = []
    for node, some in groupby(rows, key=lambda row: row.get("node") or ""):
        own = list(some)
        if found and _says(node, own) == _says(found[-1][0][0], found[-1][1]):
            found[-1][0].append(node)
        else:
            found.append(([node], own))
    return found


def _says(node: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [_without(node, row["title"]) + str(row.get("unavailable")) for row in rows]


def _without(node: str, text: str) -> str:
    return text.replace(node, "<node>") if node else text


def _heading(nodes: Sequence[str], steps: int) -> str:
    if len(nodes) < 2:
        return f"Steps on {nodes[0] or 'the cluster'}:"
    return f"Steps on {nodes[0]}, then the same {steps} on {', then on '.join(nodes[1:])}:"


def _step(row: Mapping[str, Any], digits: int, style: Style) -> list[str]:
    head = f"{row['number']:>{digits + 2}}. "
    lines = wrap(clean(row["title"]), first=head)
    below = " " * len(head)
    if row.get("why"):
        said = wrap(clean(row["why"]), first=below)
        lines += [style.paint(line, "dim") for line in said]
    if row.get("unavailable"):
        said = wrap(f"Unavailable: {clean(row['unavailable'])}", first=below)
        lines += [style.paint(line, "yellow") for line in said]
    return lines


def _unavailable(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    numbers = [str(row["number"]) for row in rows if row.get("unavailable")]
    if not numbers:
        return ["Nothing becomes unavailable during the run."]
    one = len(numbers) == 1
    steps, name = f"step{'' if one else 's'} {', '.join(numbers)}", "names" if one else "name"
    return wrap(
        f"Clients miss only what {steps} {name} as unavailable. Everything else keeps running."
    )
