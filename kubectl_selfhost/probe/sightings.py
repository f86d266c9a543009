"""From the samples of probes to a report. This module is pure: no clock, no network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

#: The kinds of probe.
CONNECT, READ, WRITE = "connect", "read", "write"
WATCH, READY, ENDPOINTS = "watch", "ready", "endpoints"
#: The kinds that programs use all the time: a report's longest gap is the gap of these kinds. The probe
#: sends the other kinds too rarely for a comparison.
_OF_CLIENTS = (CONNECT, READ, WRITE)

OK = "ok"
RETRY_AFTER = "retry-after"
#: This request was not sent, because too many requests were unanswered.
NOT_SENT = "not-sent"

#: The section up to the first mark.
BEFORE = "before"

#: Seconds of a slot of the timeline, and seconds after which a good answer counts as slow.
SLOT = 0.5
SLOW = 0.5
#: The values of a slot, the worst last; "none" if no request was due.
NONE, FINE, SLOWLY, LATER, FAILED = SLOTS = ("none", "fine", "slow", RETRY_AFTER, "failed")


@dataclass(frozen=True)
class Sample:
    """A request: when it began (seconds since the prober's start), how long it took, how it ended.

    ``outcome`` is "ok" or a kind of failure: refused, reset, closed, timeout, tls, dns, network,
    proxy, credentials, not-sent, http-<status>, or retry-after (a 429 or 503 with Retry-After, which
    client-go's users never see).
    """

    at: float
    seconds: float
    outcome: str
    kind: str = CONNECT


@dataclass(frozen=True)
class Latency:
    """The times of good answers in milliseconds: percentiles (nearest rank) and the longest."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Tally:
    """The sums of samples. ``longest_gap`` in seconds, None for a watch; ``latency`` of good
    answers.

    ``longest_gap`` is the longest time between the arrivals of two good answers in a row; the
    beginning and the end (or now) count as good answers. Without faults it is little more than
    1/rate.
    """

    requests: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    longest_gap: float | None = None
    latency: Latency | None = None

    @property
    def failed(self) -> int:
        """Return the number of failures of all kinds, but for those that said when to come again."""
        return sum(count for kind, count in self.failures.items() if kind != RETRY_AFTER)


@dataclass(frozen=True)
class Section:
    """The time from one mark to the next, in seconds since the start; ``total`` is of all kinds."""

    name: str
    began: float
    ended: float
    total: Tally
    kinds: Mapping[str, Tally]


@dataclass(frozen=True)
class WatchReport:
    """What a watch saw of an object that the probe writes without a pause.

    ``lost``: successful writes whose event never came, although a later event came. ``unseen``:
    successful writes whose event had not come at the end. ``ended`` counts how the watch ended:
    cleanly or expired (a client then restarts the watch silently), or by a fault.
    ``longest_silence`` is the longest time without an event, in seconds.
    """

    events: int
    lost: int
    ended: Mapping[str, int]
    longest_silence: float
    unseen: int = 0


@dataclass(frozen=True)
class ProbeReport:
    """What a client would have seen. Times are in seconds; ``started`` and ``ended`` since the epoch.

    ``requests`` and ``failures`` are of all kinds together; ``longest_gap`` is the longest of any
    kind, ``latency`` that of new connections. ``slots`` is the timeline: the worst of every half
    second. ``endpoints_empty`` is for how long the ``kubernetes`` Service had no ready address (None:
    not probed). ``left_out`` are the skipped kinds, and why.
    """

    requests: int
    failures: Mapping[str, int]
    longest_gap: float
    started: float
    ended: float
    samples: Sequence[Sample] = ()
    latency: Latency | None = None
    kinds: Mapping[str, Tally] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    slots: Sequence[str] = ()
    watch: WatchReport | None = None
    endpoints_empty: float | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Return the number of failures of all kinds, but for those that said when to come again."""
        return sum(count for kind, count in self.failures.items() if kind != RETRY_AFTER)

    @property
    def spotless(self) -> bool:
        """Return whether no client could notice anything."""
        missing = self.watch.lost + self.watch.unseen if self.watch else 0
        return not (self.failed or missing or self.endpoints_empty)

    def facts(self) -> dict[str, Any]:
        """Return the part of the report that the journal keeps, as plain data."""
        watch = self.watch
        return {
            **_facts(self),
            "kinds": {kind: _facts(tally) for kind, tally in self.kinds.items()},
            "sections": [{"name": s.name, **_facts(s.total)} for s in self.sections],
            "watch": watch and {**vars(watch), "longest_silence": round(watch.longest_silence, 3)},
            "endpoints_empty_seconds": self.endpoints_empty and round(self.endpoints_empty, 3),
        }


def _facts(tally: Tally | ProbeReport) -> dict[str, Any]:
    gap, latency = tally.longest_gap, tally.latency
    return {
        "requests": tally.requests,
        "failures": dict(tally.failures),
        "longest_gap_seconds": None if gap is None else round(gap, 3),
        "latency_ms": latency and {name: round(took, 1) for name, took in vars(latency).items()},
    }


def summarise(
    samples: Sequence[Sample],
    *,
    started: float,
    seconds: float,
    marks: Sequence[tuple[float, str]] = (),
    watch: WatchReport | None = None,
    endpoints_empty: float | None = None,
    left_out: Mapping[str, str] | None = None,
) -> ProbeReport:
    """Return the report on ``samples``, taken in ``seconds`` seconds from ``started`` on.

    ``marks`` are (seconds since the start, name of the section that begins there), in order.
    """
    kinds = _by_kind(samples, 0.0, seconds)
    total = _together(kinds)
    return ProbeReport(
        requests=total.requests,
        failures=total.failures,
        longest_gap=seconds if total.longest_gap is None else total.longest_gap,
        started=started,
        ended=started + seconds,
        samples=samples,
        latency=total.latency,
        kinds=kinds,
        sections=_sections(samples, seconds, marks),
        slots=timeline(samples, seconds),
        watch=watch,
        endpoints_empty=endpoints_empty,
        left_out=dict(left_out or {}),
    )


def timeline(samples: Sequence[Sample], seconds: float) -> list[str]:
    """Return the worst (see ``SLOTS``) of every half second, by when a probe began."""
    worst = [0] * math.ceil(seconds / SLOT)
    for sample in samples:
        slot = int(sample.at / SLOT)
        if 0 <= slot < len(worst):
            worst[slot] = max(worst[slot], SLOTS.index(_looks(sample)))
    return [SLOTS[number] for number in worst]


def latency_of(samples: Sequence[Sample]) -> Latency | None:
    """Return the latency of the good answers among ``samples``; None if there are none."""
    took = sorted(sample.seconds * 1000 for sample in samples if sample.outcome == OK)
    if not took:
        return None
    return Latency(*(_percentile(took, part) for part in (0.5, 0.9, 0.99, 1.0)))


def _percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def _looks(sample: Sample) -> str:
    if sample.outcome == OK:
        return SLOWLY if sample.seconds > SLOW else FINE
    return LATER if sample.outcome == RETRY_AFTER else FAILED


def _sections(
    samples: Sequence[Sample], seconds: float, marks: Sequence[tuple[float, str]]
) -> list[Section]:
    """Return a section for each mark; empty without marks."""
    if not marks:
        return []
    edges = [(0.0, BEFORE), *marks, (max(seconds, marks[-1][0]), "")]
    found = []
    for number, ((began, name), (ended, _)) in enumerate(pairwise(edges)):
        kinds = _by_kind(samples, began, ended, last=number == len(marks))
        found.append(Section(name, began, ended, _together(kinds), kinds))
    return found


def _by_kind(
    samples: Sequence[Sample], began: float, ended: float, *, last: bool = True
) -> dict[str, Tally]:
    """Return the tally of each kind, of what began in a section; ``last``: no section follows."""
    by_kind: dict[str, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(sample.kind, []).append(sample)
    tallies = {}
    for kind, every in by_kind.items():
        inside = [s for s in every if began <= s.at and (last or s.at < ended)]
        tallies[kind] = Tally(
            requests=len(inside),
            failures=dict(Counter(s.outcome for s in inside if s.outcome != OK)),
            longest_gap=None if kind == WATCH else _longest_gap(every, began, ended, last),
            latency=latency_of(inside),
        )
    return tallies


def _longest_gap(samples: Sequence[Sample], began: float, ended: float, last: bool) -> float:
    """Return the longest gap inside a section. Of a gap across the section's edge, only the part
    inside counts.

    A good answer after the end also ends a gap, if its request was sent before the end.
    """
    arrivals = sorted(s.at + s.seconds for s in samples if s.outcome == OK)
    if last and arrivals:
        ended = max(ended, arrivals[-1])
    moments = [began, *(a for a in arrivals if began < a < ended), ended]
    return max(later - earlier for earlier, later in pairwise(moments))


def _together(kinds: Mapping[str, Tally]) -> Tally:
    failures: Counter[str] = Counter()
    for tally in kinds.values():
        failures.update(tally.failures)
    of_clients = [kinds[kind] for kind in _OF_CLIENTS if kind in kinds]
    gaps = [tally.longest_gap for tally in of_clients if tally.longest_gap is not None]
    return Tally(
        requests=sum(tally.requests for tally in kinds.values()),
        failures=dict(failures),
        longest_gap=max(gaps, default=None),
        latency=of_clients[0].latency if of_clients else None,
    )
