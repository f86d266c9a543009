"""Looks at the API as a client would, all the time, while something is done to it.

Each probe is a new connection (TCP, TLS, one GET, closed) with our own credentials, so it meets
whatever listens at that moment. Probes start at fixed times, whether the ones before are answered
or not (an open loop): an API that hangs can't make itself look better by slowing us down.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

#: A ConfigMap that is in each namespace since Kubernetes 1.20: a read of the store, not of a cache,
#: behind authentication and authorization. If it's absent, the 404 says just as much.
_PATH = CONFIGMAPS.path("kube-root-ca.crt", NAMESPACE)
_GOOD = {200, 404}
OK = "ok"


@dataclass(frozen=True)
class Sample:
    """One probe: when it began (seconds since the prober's start), how long it took, how it ended.

    ``outcome`` is "ok" or a kind of failure: refused, reset, closed, timeout, tls, dns, network,
    proxy, http-<status>, or retry-after (a 429 or 503 that says when to come again: client-go's
    users never see it).
    """

    at: float
    seconds: float
    outcome: str


@dataclass(frozen=True)
class ProbeReport:
    """What a client would have seen. Times in seconds; started and ended since the epoch.

    ``longest_gap`` is the longest time between two good answers that follow each other, by when
    they arrived; the prober's start and its end (or now) count as good answers. With nothing amiss
    it is little more than 1/rate.
    """

    requests: int
    failures: dict[str, int]
    longest_gap: float
    started: float
    ended: float
    samples: list[Sample] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Failures of all kinds, but for those that said when to come again."""
        return sum(count for kind, count in self.failures.items() if kind != "retry-after")


class Prober:
    """Probes from ``__enter__`` to ``__exit__``. ``rate`` per second, ``timeout`` seconds each."""

    def __init__(
        self, cluster: Cluster, *, rate: float = 10.0, timeout: float = 5.0, path: str = _PATH
    ) -> None:
        self._transport = cluster.transport
        self._interval = 1.0 / rate
        self._timeout = timeout
        self._path = path
        self._samples: list[Sample] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._in_flight = 0
        self._idle = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._began = self._over = 0.0
        self._started = 0.0

    def __enter__(self) -> Prober:
        self._transport.headers()  # an exec plugin that asks a person does so now, not in a probe
        self._started, self._began = time.time(), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._over = time.monotonic()
        # What is under way was asked before the end, so it counts.
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=self._timeout + 1.0)

    def report(self) -> ProbeReport:
        """What was seen so far, or in all once the block has ended."""
        with self._lock:
            samples = sorted(self._samples, key=lambda sample: sample.at)
        now = (self._over or time.monotonic()) - self._began
        return summarise(samples, started=self._started, seconds=now)

    def _run(self) -> None:
        number = 0
        while True:
            due = self._began + number * self._interval
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            with self._lock:
                self._in_flight += 1
            threading.Thread(target=self._probe, daemon=True).start()
            number += 1

    def _probe(self) -> None:
        began = time.monotonic()
        try:
            outcome = self._outcome()
        except ApiError as error:
            outcome = error.reason or "network"
        except SelfhostError:
            outcome = "credentials"
        ended = time.monotonic()
        with self._idle:
            self._samples.append(Sample(began - self._began, ended - began, outcome))
            self._in_flight -= 1
            self._idle.notify_all()

    def _outcome(self) -> str:
        answer = self._transport.once("GET", self._path, timeout=self._timeout, fresh=True)
        if answer.status in _GOOD:
            return OK
        if answer.status in (429, 503) and answer.retry_after is not None:
            return "retry-after"
        return f"http-{answer.status}"


def summarise(samples: list[Sample], *, started: float, seconds: float) -> ProbeReport:
    """The report on ``samples``, taken in ``seconds`` seconds from ``started`` on."""
    arrivals = sorted(s.at + s.seconds for s in samples if s.outcome == OK)
    marks = [0.0, *arrivals, max(seconds, arrivals[-1] if arrivals else 0.0)]
    gap = max(later - earlier for earlier, later in pairwise(marks))
    return ProbeReport(
        requests=len(samples),
        failures=dict(Counter(s.outcome for s in samples if s.outcome != OK)),
        longest_gap=gap,
        started=started,
        ended=started + seconds,
        samples=samples,
    )
