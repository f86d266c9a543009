"""What probes saw, for people: the page of a probe, and its part of a run's summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import PLAIN, WIDTH, Style, clean, seconds, wrap
from kubectl_selfhost.probe.sightings import (
    RETRY_AFTER,
    SLOT,
    ProbeReport,
    Tally,
    WatchReport,
)

_NAMES = {
    "connect": "new connections",
    "read": "kept, reads",
    "write": "kept, writes",
    "watch": "watch",
    "ready": "/readyz",
    "endpoints": "EndpointSlices",
}
_POD = "from a pod"
#: The signs of the timeline, the worst last. A person can tell them apart without colours.
_SIGNS = {"none": " ", "fine": ".", "slow": "~", RETRY_AFTER: "r", "failed": "!"}
_COLOURS = {"~": "yellow", "r": "yellow", "!": "red"}
_WORST = {slot: number for number, slot in enumerate(_SIGNS)}
_LEGEND = ". fine   ~ slow (over 0.5s)   r Retry-After   ! failed"
_INDENT = "  "


class Pod(Protocol):
    """What a pod saw of the Service."""

    @property
    def requests(self) -> int: ...
    @property
    def failures(self) -> Mapping[str, int]: ...
    @property
    def longest_gap(self) -> float: ...
    @property
    def latency(self) -> Mapping[str, float] | None: ...
    @property
    def slots(self) -> Sequence[str]: ...


def page(
    server: str,
    probe: ProbeReport,
    pod: Pod | None = None,
    *,
    remarks: Sequence[str] = (),
    style: Style = PLAIN,
) -> list[str]:
    """Return the page of ``kubectl selfhost probe``, 80 columns wide."""
    took = seconds(probe.ended - probe.started)
    lines = [style.paint(f"What clients saw of {clean(server)} in {took}", "bold"), ""]
    lines += _table(probe, pod, style)
    lines += ["", "GAP is the longest time without a good answer."]
    lines += _failures(probe, pod)
    lines += ["", *_besides(probe)]
    lines += ["", *timeline(probe.slots, None if pod is None else pod.slots, style=style)]
    if remarks:
        lines += ["", *(line for text in remarks for line in wrap(clean(text), first="- "))]
    return [*lines, "", *_verdict(probe, pod, style)]


def as_seen(probe: ProbeReport) -> str:
    """Return what clients saw of the API, in a sentence: only what was measured."""
    failures = {kind: count for kind, count in probe.failures.items() if count}
    if not probe.requests:
        return "not probed."
    # An answer with Retry-After is no failure for a client: client-go repeats the request.
    later = failures.pop(RETRY_AFTER, 0)
    failed = f"{sum(failures.values())} failed ({_counts(failures)})" if failures else "none failed"
    put_off = f", {later} answered with Retry-After" if later else ""
    gap = f"longest time without an answer {probe.longest_gap:.1f}s"
    return f"{probe.requests} requests, {failed}{put_off}; {gap}."


def in_summary(probe: ProbeReport, *, drawn: bool, style: Style = PLAIN) -> list[str]:
    """Return the probe's part of a run's summary; ``drawn``: with the timeline, for a terminal."""
    lines = wrap(as_seen(probe), first="API probe: ", rest=_INDENT)
    watch = probe.watch
    if probe.endpoints_empty or (watch and (watch.lost or watch.unseen or _torn(watch))):
        lines += [_INDENT + line for line in _besides(probe, columns=WIDTH - len(_INDENT))]
    rows = [
        [section.name, *_numbers(section.total, percentiles=("p50", "p99"))]
        for section in probe.sections
        if section.total.requests
    ]
    headers = ("PHASE", "REQUESTS", "FAILED", RETRY_AFTER.upper(), "GAP", "P50", "P99")
    if rows:
        lines += ["", *table(headers, rows, paint=_painter(style))]
    return [*lines, "", *timeline(probe.slots, style=style)] if drawn and probe.slots else lines


def timeline(
    here: Sequence[str], pod: Sequence[str] | None = None, *, style: Style = PLAIN
) -> list[str]:
    """Return a row of signs for this machine's probe, a row for a pod's probe, and the legend."""
    rows = {"here": here, **({} if pod is None else {"pod": pod})}
    label = max(map(len, rows)) + 2
    room = WIDTH - len(_INDENT) - label
    each = _slots_a_sign(max(map(len, rows.values())), room)
    lines = [f"Timeline ({each * SLOT:g}s per sign):"]
    for name, slots in rows.items():
        signs = _row(slots, each)
        painted = "".join(style.paint(s, _COLOURS[s]) if s in _COLOURS else s for s in signs)
        lines.append(f"{_INDENT}{name:{label}}{painted}".rstrip())
    return [*lines, _INDENT + _LEGEND]


def _slots_a_sign(slots: int, room: int) -> int:
    """Return how many half seconds a sign means: a round number with which the row fits."""
    for each in (1, 2, 4, 10, 20, 60, 120, 240, 600, 1200, 3600, 7200):
        if slots <= each * room:
            return each
    return -(-slots // room)


def _row(slots: Sequence[str], each: int) -> list[str]:
    groups = (slots[start : start + each] for start in range(0, len(slots), each))
    return [_SIGNS[max(group, key=lambda slot: _WORST[slot])] for group in groups]


def _table(probe: ProbeReport, pod: Pod | None, style: Style) -> list[str]:
    rows = [
        [_NAMES.get(kind, kind), *_numbers(probe.kinds[kind])]
        for kind in [*_NAMES, *(k for k in probe.kinds if k not in _NAMES)]
        if kind in probe.kinds
    ]
    if pod is not None:
        latency = pod.latency or {}
        took = [milliseconds(latency.get(name)) for name in ("p50", "p99", "max")]
        rows.append([_POD, pod.requests, *_failed(pod.failures), _gap(pod.longest_gap), *took])
    headers = ("PROBE", "REQUESTS", "FAILED", RETRY_AFTER.upper(), "GAP", "P50", "P99", "MAX")
    return table(headers, rows, paint=_painter(style))


def _numbers(tally: Tally, percentiles: Sequence[str] = ("p50", "p99", "max")) -> list[object]:
    took = [milliseconds(getattr(tally.latency, name, None)) for name in percentiles]
    return [tally.requests, *_failed(tally.failures), _gap(tally.longest_gap), *took]


def _failed(failures: Mapping[str, int]) -> tuple[int, int]:
    later = failures.get(RETRY_AFTER, 0)
    return sum(failures.values()) - later, later


def _gap(value: float | None) -> str:
    return milliseconds(None if value is None else value * 1000)


def milliseconds(value: float | None) -> str:
    """Return a latency or a gap as text: 2.3ms, 41ms, 1.3s; "-" if there is none."""
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.1f}ms"
    return f"{value:.0f}ms" if value < 1000 else seconds(value / 1000)


def _painter(style: Style) -> Callable[[str, str], str]:
    def paint(header: str, cell: str) -> str:
        return style.paint(cell, "red") if header == "FAILED" and cell != "0" else cell

    return paint


def _failures(probe: ProbeReport, pod: Pod | None) -> list[str]:
    found = {_NAMES.get(kind, kind): tally.failures for kind, tally in probe.kinds.items()}
    if pod is not None:
        found[_POD] = pod.failures
    lines = [
        line
        for name, failures in found.items()
        if any(failures.values())
        for line in wrap(clean(f"{name}: {_counts(failures)}"), first=_INDENT, rest=_INDENT * 2)
    ]
    return ["", "Failures:", *lines] if lines else []


def _counts(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(failures.items()) if count)


def _torn(watch: WatchReport) -> int:
    return sum(count for how, count in watch.ended.items() if how not in ("cleanly", "expired"))


def _besides(probe: ProbeReport, columns: int = WIDTH) -> list[str]:
    """Return what the watch and the Service saw, each in a sentence."""
    lines: list[str] = []
    if probe.watch is not None:
        lines += wrap(clean(_of_watch(probe.watch)), first="Watch:    ", columns=columns)
    if probe.endpoints_empty is not None:
        for_long = seconds(probe.endpoints_empty)
        said = (
            f"had no ready address for {for_long}"
            if probe.endpoints_empty
            else "always had a ready address"
        )
        lines += wrap(
            f"kubernetes {said} (its EndpointSlices).", first="Service:  ", columns=columns
        )
    return lines


def _of_watch(watch: WatchReport) -> str:
    lost = f"{watch.lost} lost" if watch.lost else "none lost"
    lost += f", {watch.unseen} not seen by the end" if watch.unseen else ""
    times = sum(watch.ended.values())
    ended = "never ended"
    if times:
        ended = f"ended {times} {'time' if times == 1 else 'times'} ({_counts(watch.ended)})"
    silence = seconds(watch.longest_silence)
    return f"{watch.events} events, {lost}; {ended}; longest time without an event {silence}."


def _verdict(probe: ProbeReport, pod: Pod | None, style: Style) -> list[str]:
    failed = _failed(probe.failures)[0] + (sum(pod.failures.values()) if pod else 0)
    requests = probe.requests + (pod.requests if pod else 0)
    gap = max(probe.longest_gap, pod.longest_gap if pod else 0.0)
    if failed:
        said = f"{failed} of {requests} requests failed; longest gap {seconds(gap)}."
    elif probe.watch is not None and probe.watch.lost + probe.watch.unseen:
        said = "no request failed, but the watch did not get the event of every write."
    elif probe.endpoints_empty:
        said = "no request from here failed, but the kubernetes Service had no ready address for a time."
    else:
        said = f"none of {requests} requests failed; longest gap {seconds(gap)}."
        return [f"{style.paint('Verdict:', 'green')}  {said}"]
    return [f"{style.paint('Verdict:', 'red')}  {said}"]
