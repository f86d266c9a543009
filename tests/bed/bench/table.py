"""The results of the ways as a table for people: 80 columns, medians of the rounds. Pure."""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubectl_selfhost.probe.sightings import FINE, SLOT

BEFORE = 3.0  # seconds of clients before anything is done
#: A round as plain data (rounds.Round.data); the rounds of a way; those of all, by the way's title.
Data = Mapping[str, Any]
Rounds = Sequence[Data]

CLIENTS = {  # the row's name: the kind in the Probe document
    "new connections, 50/s": "connect",
    "keep-alive reads, 10/s": "read",
    "keep-alive writes, 5/s": "write",
    "HTTP/2 writes, 30/s": "http2",
    "Service's address, 50/s": "service",
    "watch, begun anew": "watch",
}
LEADERLESS = {
    "leaderless: controllers": "kube-controller-manager",
    "leaderless: scheduling": "kube-scheduler",
}
NOTHING: dict[str, Any] = {"requests": 0, "failed": 0, "retryAfter": 0, "failures": {}}
NOTHING |= {"longestGap": None, "latency": None}
NOTES = (
    "Medians of the rounds, in brackets from the least to the most. The gap is the",
    "longest time between two good answers. Answers that say when to come again",
    "(retry) are no failures. Service's address: seen from a pod, at the kubernetes",
    "Service. Leaderless: from the end of the old leader's process, or from its last",
    "renewal if that is later, to the moment when the new one acquired the lease.",
)


def way_lines(title: str, rounds: Rounds) -> list[str]:
    """Return the table of one way."""
    count = f"{len(rounds)} round{'s' if len(rounds) > 1 else ''}"
    lines = [f"{title} ({count})"]
    lines.append(f"  {'':25}{'requests':>8}  {'failed':14}{'retry':9}{'longest gap':20}".rstrip())
    for name, kind in CLIENTS.items():
        seen = [client(one, kind) for one in rounds]
        gaps = [one["longestGap"] for one in seen]
        cells = f"{statistics.median(one['requests'] for one in seen):8.0f}  "
        cells += f"{_counts([one['failed'] for one in seen]):14}"
        cells += f"{_counts([one['retryAfter'] for one in seen]):9}"
        cells += "" if None in gaps else _seconds(gaps, 2)
        lines.append(f"  {name:25}{cells}".rstrip())
        lines += _kinds(seen)
    lines.append(f"  {'watch: events lost':25}{_counts([_lost(one) for one in rounds]):>8}")
    for name, values in _times(rounds).items():
        lines.append(f"  {name:41}{_seconds(values, 2)}")
    for number, one in enumerate(rounds, 1):
        if one["error"]:  # all of it was printed when it happened
            lines.append(f"  round {number}: {one['error'].splitlines()[0]}"[:80])
        if not calm(one):
            lines.append(f"  round {number}: too busy a machine: clients waited before it began")
    return lines


def client(one: Data, kind: str) -> Data:
    """Return what one kind of client saw in a round."""
    if kind == "http2":
        return one["http2"]
    if kind == "service":
        return one["probe"]["inCluster"]
    found: dict[str, Data] = {each["name"]: each for each in one["probe"]["kinds"]}
    return found.get(kind, NOTHING)


def calm(one: Data) -> bool:
    """Return whether clients were served well before anything was done in a round.

    The probe's first half second doesn't count: the probe makes all its connections then.
    """
    return all(slot == FINE for slot in one["probe"]["slots"][1 : int(BEFORE / SLOT)])


def ratio_lines(ways: Mapping[str, Rounds], base: str) -> list[str]:
    """Return each way beside the way ``base``: its medians as multiples of the base's."""
    columns: dict[str, Callable[[Data], float]] = {
        "failed": failed,
        "gap": gap,
        "Service": lambda one: client(one, "service")["longestGap"],
        "no leader": lambda one: max(one["leaderless"].values()),
        "time": lambda one: one["seconds"],
    }
    lines = [f"  {'':30}" + "".join(f"{name:>{_width(name)}}" for name in columns)]
    for title, rounds in ways.items():
        cells = ""
        for name, value in columns.items():
            ours = statistics.median(map(value, ways[base]))
            cells += f"{_ratio(statistics.median(map(value, rounds)), ours):>{_width(name)}}"
        lines.append(f"  {title:30}{cells}")
    return [f"Ratios to {base} (n : 0 where it has none)", *lines]


def failed(one: Data) -> int:
    """Return the failures of all clients together in a round, including those at the Service's
    address.
    """
    return sum(client(one, kind)["failed"] for kind in CLIENTS.values())


def gap(one: Data) -> float:
    """Return the longest gap of a client outside the cluster in a round."""
    kinds = ("connect", "read", "write", "http2")
    return max(client(one, kind)["longestGap"] or 0.0 for kind in kinds)


def _times(rounds: Rounds) -> dict[str, list[float]]:
    rows = {"Service without an address": [_empty(one) for one in rounds]}
    rows["a new connection, half of them within"] = [_latency(one) for one in rounds]
    for name, component in LEADERLESS.items():
        rows[name] = [one["leaderless"][component] for one in rounds]
    rows["total time"] = [one["seconds"] for one in rounds]
    for component in rounds[0]["components"]:
        rows[f"  {component}"] = [one["components"].get(component, 0.0) for one in rounds]
    return rows


def _kinds(seen: Sequence[Data]) -> list[str]:
    """Return a line with the failures by kind, of all rounds together; nothing if none failed."""
    kinds: Counter[str] = Counter()
    for one in seen:
        kinds.update(one["failures"])
    if not kinds:
        return []
    text = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    text = f"in all: {text}" if len(seen) > 1 else text
    return textwrap.wrap(text, 80, initial_indent="    ", subsequent_indent="      ")


def _lost(one: Data) -> int:
    watch = one["probe"]["watch"] or {"lost": 0, "unseen": 0}
    return watch["lost"] + watch["unseen"]


def _empty(one: Data) -> float:
    return (one["probe"]["endpoints"] or {"empty": 0.0})["empty"]


def _latency(one: Data) -> float:
    """Return the median of the good answers to new connections in a round, in seconds."""
    return (client(one, "connect")["latency"] or {"p50": 0.0})["p50"] / 1000


def _counts(values: Sequence[int]) -> str:
    return _spread(values, "{:.0f}")


def _seconds(values: Sequence[float], digits: int) -> str:
    return _spread(values, f"{{:.{digits}f}}", unit=" s")


def _spread(values: Sequence[float], form: str, unit: str = "") -> str:
    middle = form.format(statistics.median(values)) + unit
    least, most = form.format(min(values)), form.format(max(values))
    return middle if least == most else f"{middle} ({least}..{most})"


def _ratio(value: float, base: float) -> str:
    if base:
        return f"{value / base:.1f}"
    return f"{value:.0f} : 0" if value else "-"


def _width(name: str) -> int:
    return max(9, len(name) + 2)
