"""A probe as a document for programs: ``kubectl selfhost probe -o json`` (or yaml).

Its schema is kubectl-selfhost/v1alpha1, kind Probe. New versions only add fields: a program should
ignore an unknown field. Times are RFC 3339 in UTC. Lengths of time are in seconds, latencies (p50,
p90, p99, max; of good answers) in milliseconds. An unknown value is null.

- ``cluster``: context, server
- ``started``, ``seconds``
- ``spotless``: true if no client could notice anything (exit status 0)
- ``total``: requests, failed, retryAfter, failures (by kind), longestGap, latency; of all kinds
- ``kinds[]``: name (connect, read, write, watch, ready, endpoints), and the same fields for each kind
- ``watch``: events, lost, unseen (at the end), ended (how, and how often), longestSilence; or null
- ``endpoints``: empty (for how long no address was ready); or null
- ``inCluster``: seconds, requests, failed, failures, longestGap, latency, slots, and ``runs[]`` of
  failures without a good answer in between: from, to, kind, count; or null
- ``slotSeconds``, ``slots[]``: the timeline, the worst of each slot: none, fine, slow, retry-after,
  failed
- ``leftOut``: kinds that were skipped, and why · ``remarks[]``: sentences
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from kubectl_selfhost.output.document import API_VERSION
from kubectl_selfhost.output.probe import Pod
from kubectl_selfhost.probe.sightings import RETRY_AFTER, SLOT, ProbeReport, Tally


class PodWithRuns(Pod, Protocol):
    """What a pod saw of the Service, with the failures."""

    @property
    def seconds(self) -> float: ...
    @property
    def runs(self) -> Sequence[tuple[float, float, str, int]]: ...


def document(
    probe: ProbeReport,
    pod: PodWithRuns | None = None,
    *,
    context: str,
    server: str,
    spotless: bool,
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the Probe document as plain data."""
    started = datetime.fromtimestamp(probe.started, timezone.utc)
    watch = probe.watch
    return {
        "apiVersion": API_VERSION,
        "kind": "Probe",
        "cluster": {"context": context, "server": server},
        "started": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "seconds": _rounded(probe.ended - probe.started),
        "spotless": spotless,
        "total": _tally(probe),
        "kinds": [{"name": kind, **_tally(tally)} for kind, tally in probe.kinds.items()],
        "watch": watch
        and {
            "events": watch.events,
            "lost": watch.lost,
            "unseen": watch.unseen,
            "ended": dict(watch.ended),
            "longestSilence": _rounded(watch.longest_silence),
        },
        "endpoints": None
        if probe.endpoints_empty is None
        else {"empty": _rounded(probe.endpoints_empty)},
        "inCluster": pod and _pod(pod),
        "slotSeconds": SLOT,
        "slots": list(probe.slots),
        "leftOut": dict(probe.left_out),
        "remarks": list(remarks),
    }


def _tally(tally: Tally | ProbeReport) -> dict[str, Any]:
    latency = tally.latency
    names = ("p50", "p90", "p99", "max")
    return {
        **_counts(tally.requests, tally.failures),
        "longestGap": None if tally.longest_gap is None else _rounded(tally.longest_gap),
        "latency": latency and {name: _rounded(getattr(latency, name)) for name in names},
    }


def _pod(pod: PodWithRuns) -> dict[str, Any]:
    return {
        "seconds": _rounded(pod.seconds),
        **_counts(pod.requests, pod.failures),
        "longestGap": _rounded(pod.longest_gap),
        "latency": pod.latency and {name: _rounded(took) for name, took in pod.latency.items()},
        "runs": [
            {"from": _rounded(first), "to": _rounded(last), "kind": kind, "count": count}
            for first, last, kind, count in pod.runs
        ],
        "slots": list(pod.slots),
    }


def _counts(requests: int, failures: Mapping[str, int]) -> dict[str, Any]:
    later = failures.get(RETRY_AFTER, 0)
    return {
        "requests": requests,
        "failed": sum(failures.values()) - later,
        "retryAfter": later,
        "failures": dict(failures),
    }


def _rounded(value: float) -> float:
    return round(value, 3)
