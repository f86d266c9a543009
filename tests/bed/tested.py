"""What was tested: rows that whole runs have written, as data for the plugin and as a page for people.

``kubectl_selfhost/tested.json`` holds the rows. ``docs/tested.md`` shows them; a test compares both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "kubectl_selfhost" / "tested.json"
PAGE = REPOSITORY / "docs" / "tested.md"

Row = dict[str, Any]

_HEAD = """\
# What was tested

Each row is one run of the command beside it: a pivot, `status`, a roll-out of all three components, a
restart of the node, a power cut, a revert with `--from-backup` to the same bytes, and kubeadm's
own `upgrade plan` afterwards. A prober counts requests while pivot, roll-out and revert run (20 new
connections a second, and kept ones). *Lost* is how many requests failed, *gap* the longest time
without an answer. *API back* counts from the start of the node until the API answers.

Kubernetes versions that no row names are not tested. `make matrix` writes this page.

"""
_COLUMNS = (
    *("Kubernetes", "kernel", "CPU", "runtime", "machine", "date", "pivot: lost, gap, time"),
    *("roll-out: lost, gap", "revert: lost, gap", "API back: restart, power cut", "command"),
)


def rows() -> list[Row]:
    """Return the rows, the oldest Kubernetes version first."""
    found: list[Row] = json.loads(DATA.read_text()) if DATA.exists() else []
    return found


def add(row: Row) -> None:
    """Add ``row``, in the place of an earlier run on the same version, kernel, CPU and machine."""
    same = ("kubernetes", "kernel", "cpu", "machine")
    kept = [one for one in rows() if any(one[key] != row[key] for key in same)]
    kept = sorted([*kept, row], key=_order)
    DATA.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(kept))


def page(found: list[Row]) -> str:
    """Return the page for people that shows the rows ``found``."""
    lines = [
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
        *(_line(_cells(one)) for one in found),
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _order(row: Row) -> tuple[int, str, str]:
    return int(row["kubernetes"].split(".")[1]), row["kernel"], row["cpu"]


def _cells(row: Row) -> list[str]:
    runs, back = row["runs"], row["apiBack"]

    def seen(verb: str) -> str:
        run = runs[verb]
        return f"{run['failed']} of {run['requests']}, {run['longestGap']:.2f} s"

    return [
        *(
            row["kubernetes"],
            row["kernel"],
            row["cpu"],
            row["runtime"],
            row["machine"],
            row["date"],
        ),
        f"{seen('pivot')}, {runs['pivot']['seconds']:.0f} s",
        *(seen("rollout"), seen("revert")),
        f"{back['restart']:.0f} s, {back['power cut']:.0f} s",
        f"`{row['command']}`",
    ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
