"""The report after checks, and the report after a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from kubectl_selfhost.output.probe import in_summary
from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import PLAIN, Style, clean, seconds, wrap
from kubectl_selfhost.probe.sightings import ProbeReport

_INDENT = " " * 4


class Finding(Protocol):
    """The result of a check: ``result`` is ok, warning or failed."""

    @property
    def check(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def finding(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def hint(self) -> str: ...


def findings(
    found: Sequence[Finding], *, title: str = "Pre-flight checks", style: Style = PLAIN
) -> list[str]:
    """Return a line for each check. If a check isn't ok, add the cause and what to do."""
    lines = [style.paint(title, "bold")]
    for one in found:
        lines += _finding(one, style)
    counts = {result: sum(one.result == result for one in found) for result in _RESULTS}
    said = [f"{count} {word}" for word, count in counts.items() if count]
    return [*lines, ", ".join(said) + "."]


_RESULTS = ("ok", "warning", "failed", "skipped")


def _finding(one: Finding, style: Style) -> list[str]:
    plain = Style(unicode=style.unicode).sign(one.result)
    lines = wrap(f"{clean(one.check)}: {clean(one.finding)}", first=f"{plain} ", rest=_INDENT)
    lines[0] = style.sign(one.result) + lines[0][len(plain) :]
    if one.result != "ok":
        if one.cause:
            lines += wrap(f"Cause: {clean(one.cause)}", first=_INDENT)
        if one.hint:
            lines += wrap(f"Hint:  {clean(one.hint)}", first=_INDENT, rest=_INDENT + " " * 7)
    return lines


def summary(
    headline: str,
    *,
    served: Sequence[tuple[str, str, str]] = (),
    switched: Mapping[tuple[str, str], float] | None = None,
    probe: ProbeReport | None = None,
    know: Sequence[str] = (),
    commands: Sequence[str] = (),
    next_command: str = "",
    drawn: bool = False,
    style: Style = PLAIN,
) -> list[str]:
    """Return the report after a run.

    ``served`` is (component, what serves it now, node). ``switched`` are the seconds that each switch
    took in this run, by component and node. ``commands`` are lines to copy. ``drawn``: with the
    probe's timeline.
    """
    switched = switched or {}
    lines = [style.paint(clean(headline), "bold")]
    rows = [
        [component, by, node, seconds(took) if took is not None else "-"]
        for component, by, node in served
        for took in [switched.get((component, node))]
    ]
    if rows:
        lines += ["", *_without_lone_node(rows)]
    if probe is not None:
        lines += ["", *in_summary(probe, drawn=drawn, style=style)]
    if know:
        lines += ["", "Good to know:"]
        lines += [line for text in know for line in wrap(clean(text), first="  - ")]
    if commands:
        lines += ["", *map(clean, commands)]
    if next_command:
        lines += ["", f"Next: {clean(next_command)}"]
    return lines


def _without_lone_node(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table. It has a column NODE only if there are several nodes."""
    if len({row[2] for row in rows}) > 1:
        return table(("COMPONENT", "SERVED BY", "NODE", "SWITCHED IN"), rows)
    headers = ("COMPONENT", "SERVED BY", "SWITCHED IN")
    return table(headers, [[component, by, took] for component, by, _, took in rows])
