"""The plan as a person reads it before saying yes: every step, why, and what is away meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """The lines of the plan.

    ``rows`` are the steps, each with number, name, title, why, and unavailable (None or what
    clients miss meanwhile). ``facts`` are what was found out beforehand, ``know`` what to bear in
    mind.
    """
    lines = [style.paint(clean(title), "bold")]
    if facts:
        lines += ["", *pairs(list(facts.items()))]
    digits = len(str(len(rows)))
    if rows:
        lines += ["", "Steps:"]
    for row in rows:
        lines += _step(row, digits, style)
    lines += ["", *_unavailable(rows)]
    if know:
        lines += ["", "Good to know:"]
        lines += [line for text in know for line in wrap(clean(text), first="  - ")]
    return lines


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
        return ["Nothing becomes unavailable meanwhile."]
    steps = "step " + numbers[0] if len(numbers) == 1 else "steps " + ", ".join(numbers)
    return wrap(f"Nothing but what is said at {steps} becomes unavailable; what runs goes on.")
