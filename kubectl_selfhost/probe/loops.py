"""Open loops: each request is sent at its fixed time, whether or not the last one was answered.

So an API that hangs gets the same number of requests, and can't look better than it is.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from kubectl_selfhost.cluster.connection.transport import Answer
from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.probe.sightings import CONNECT, NOT_SENT, OK, READ, RETRY_AFTER, WRITE, Sample

#: 404 proves as much as 200: the server answered, from the store.
_GOOD = {200, 201, 404}
#: The maximum of unanswered requests (250: 50 per second for 5 s); above it, no request is sent.
MOST_IN_FLIGHT = 256

_FAILED_CHECK = re.compile(rb"^\[-\]([a-z0-9/-]{1,40}) ", re.MULTILINE)
_MOST_READ = 16 * 1024

#: A function that sends a request with this time limit in seconds. It raises ApiError.
Ask = Callable[[float], "Answer"]


class Recorder:
    """The samples of many threads, and their sums at any time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.started, self.began = time.time(), time.monotonic()
        self._samples: list[Sample] = []
        self._failed = 0
        self._gap = 0.0
        self._last_good: dict[str, float] = {}

    def add(self, kind: str, began: float, outcome: str, *, took: float | None = None) -> None:
        """Record a probe that was due at ``began`` (monotonic), and ended now or took ``took``
        seconds.
        """
        seconds = time.monotonic() - began if took is None else took
        sample = Sample(began - self.began, seconds, outcome, kind)
        with self.lock:
            self._samples.append(sample)
            self._failed += outcome not in (OK, RETRY_AFTER)
            if outcome == OK and kind in (CONNECT, READ, WRITE):
                arrived = sample.at + sample.seconds
                self._gap = max(self._gap, arrived - self._last_good.get(kind, 0.0))
                self._last_good[kind] = max(arrived, self._last_good.get(kind, 0.0))

    def samples(self) -> list[Sample]:
        """Return all samples, by when they were due."""
        with self.lock:
            return sorted(self._samples, key=lambda sample: sample.at)

    def glance(self) -> tuple[int, int, float]:
        """Return requests, failures, and the longest gap so far, including a gap that lasts."""
        now = time.monotonic() - self.began
        with self.lock:
            oldest = min(self._last_good.values(), default=0.0)
            return len(self._samples), self._failed, max(self._gap, now - oldest)


def outcome(answer: Answer) -> str:
    """Return what an answer is to a client: "ok", or a kind of failure (see Sample)."""
    if answer.status in _GOOD:
        return OK
    if answer.status in (429, 503) and answer.retry_after is not None:
        return RETRY_AFTER
    # /readyz names the checks that have failed: "[-]etcd failed: reason withheld".
    checks = _FAILED_CHECK.findall(answer.body[:_MOST_READ])
    return "-".join([f"http-{answer.status}", *(one.decode() for one in checks[:2])])


def failure(error: SelfhostError) -> str:
    """Return the kind of a failure without an answer."""
    return (error.reason or "network") if isinstance(error, ApiError) else "credentials"


class Loop:
    """A loop that sends ``rate`` requests per second until ``stop``; an answer may take ``timeout``
    seconds.
    """

    def __init__(self, kind: str, recorder: Recorder, *, rate: float, timeout: float) -> None:
        self.kind = kind
        self._recorder = recorder
        self._interval = 1.0 / rate
        self._timeout = timeout
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe-{kind}", daemon=True)

    def start(self) -> None:
        """Start the loop; the first request is due at once."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more requests."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the open requests: they were sent before the end, so they count."""
        self._thread.join(self._timeout + 1.0)

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while True:
            due = began + number * self._interval
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._turn(due, number)
            number += 1

    def _turn(self, due: float, number: int) -> None:
        raise NotImplementedError


class Side(Loop):
    """A loop that sends each request in a thread of its own, beside the unanswered requests."""

    def __init__(self, kind: str, ask: Ask, recorder: Recorder, *, rate: float, timeout: float):
        super().__init__(kind, recorder, rate=rate, timeout=timeout)
        self._ask = ask
        self._in_flight = 0
        self._idle = threading.Condition()

    def join(self) -> None:
        super().join()
        with self._idle:
            self._idle.wait_for(lambda: self._in_flight == 0, timeout=self._timeout + 1.0)

    def _turn(self, due: float, number: int) -> None:  # noqa: ARG002
        with self._idle:
            full = self._in_flight >= MOST_IN_FLIGHT
            self._in_flight += not full
        if full:
            self._recorder.add(self.kind, due, NOT_SENT)
        else:
            threading.Thread(target=self._probe, daemon=True).start()

    def _probe(self) -> None:
        began = time.monotonic()
        try:
            how = outcome(self._ask(self._timeout))
        except SelfhostError as error:
            how = failure(error)
        self._recorder.add(self.kind, began, how)
        with self._idle:
            self._in_flight -= 1
            self._idle.notify_all()


class Kept(Loop):
    """A loop that sends one request after the other over a kept connection, at most ``rate`` per
    second.

    A client that waits for an answer sends nothing meanwhile: the gap shows how long the wait was.
    (On a machine that is too slow for ``rate``, overdue requests are left out: else they would pile
    up.) ``answered`` is called with kind, number and answer of each request that succeeded.
    """

    def __init__(
        self,
        kind: str,
        ask: Callable[[int, float], Answer],
        recorder: Recorder,
        *,
        rate: float,
        timeout: float,
        answered: Callable[[str, int, Answer], None] | None = None,
    ) -> None:
        super().__init__(kind, recorder, rate=rate, timeout=timeout)
        self._ask = ask
        self._answered = answered

    def _run(self) -> None:
        due, number = time.monotonic(), 0
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._turn(due, number)
            due, number = max(due + self._interval, time.monotonic()), number + 1

    def _turn(self, due: float, number: int) -> None:
        try:
            answer = self._ask(number, self._timeout)
            how = outcome(answer)
        except SelfhostError as error:
            how = failure(error)
        self._recorder.add(self.kind, due, how)
        if how == OK and self._answered is not None:
            self._answered(self.kind, number, answer)
