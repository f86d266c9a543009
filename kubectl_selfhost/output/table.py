"""Tables as kubectl prints them: upper-case headers, three spaces, no borders, nothing cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubectl_selfhost.output.text import WIDTH, clean, width, wrap

_GAP, _NARROW_GAP = 3, 2


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    columns: int = WIDTH,
    indent: int = 0,
    paint: Callable[[str, str], str] | None = None,
) -> list[str]:
    """Return the lines of a table; empty if there are no rows.

    The table makes cells harmless. None and an empty text become ``<none>``, a bool becomes yes or
    no. If a table is too wide for ``columns``, two spaces instead of three separate its columns.
    ``paint(header, cell)`` may colour a cell, and keeps its width.
    """
    if not rows:
        return []
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [
        max(width(line[number]) for line in [list(headers), *cells])
        for number in range(len(headers))
    ]
    wide = sum(widths) + _GAP * (len(widths) - 1) + indent
    narrow = wide - (_GAP - _NARROW_GAP) * (len(widths) - 1)
    gap = _NARROW_GAP if wide > columns >= narrow else _GAP
    lines = [_line(headers, headers, widths, gap, indent, None)]
    lines += [_line(row, headers, widths, gap, indent, paint) for row in cells]
    return lines


def pairs(facts: Sequence[tuple[str, object]]) -> list[str]:
    """Return lines of ``Key:   value`` with aligned values; a long value continues below."""
    longest = max((width(key) for key, _ in facts), default=0) + 1
    lines = []
    for key, value in facts:
        lines += wrap(_text(value), first=f"{key + ':':<{longest}}   ")
    return lines


def _line(
    cells: Sequence[str],
    headers: Sequence[str],
    widths: Sequence[int],
    gap: int,
    indent: int,
    paint: Callable[[str, str], str] | None,
) -> str:
    parts = []
    for header, cell, room in zip(headers, cells, widths, strict=True):
        padding = " " * (room - width(cell))
        parts.append((paint(header, cell) if paint else cell) + padding)
    return (" " * indent + (" " * gap).join(parts)).rstrip()


def _text(cell: object) -> str:
    if cell is None or cell == "":
        return "<none>"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return clean(cell)
