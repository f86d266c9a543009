"""Probes that use the API as clients do, without a pause, while a run changes something.

Several kinds of probe run side by side, each with its own times (loops.py), with the user's own
credentials:

- connect: a new connection each time (TCP, TLS, one GET, close), which reaches whatever listens then
- read, write: over a kept connection, as most programs do; a write writes the probe's ConfigMap
- watch: on that ConfigMap; each write must arrive as an event
- ready: /readyz, on a new connection each time, as load balancers ask it
- endpoints: whether the ``kubernetes`` Service has a ready address
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from kubectl_selfhost.cluster.access import Access, denied
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.transport import Answer
from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE, PROBE
from kubectl_selfhost.probe.loops import Kept, Loop, Recorder, Side
from kubectl_selfhost.probe.questions import FOR_ALL, STORED, Endpoints, Question
from kubectl_selfhost.probe.sightings import (
    CONNECT,
    ENDPOINTS,
    READ,
    READY,
    WATCH,
    WRITE,
    ProbeReport,
    summarise,
)
from kubectl_selfhost.probe.watching import Watching

#: The kinds that run while a control plane changes hands, and when a person asks for a probe.
WHILE_RUNNING = (CONNECT, READ, WRITE, WATCH, ENDPOINTS)
EVERY_KIND = (*WHILE_RUNNING, READY)

#: Requests per second.
_RATES = {READ: 10.0, WRITE: 5.0, ENDPOINTS: 5.0}
_READY_RATE = 1.0
_TIDY_UP_LIMIT = 20.0

_WRITES = [
    Access("patch", "", "configmaps", namespace=NAMESPACE),
    Access("create", "", "configmaps", namespace=NAMESPACE),
    Access("delete", "", "configmaps", namespace=NAMESPACE),
]
#: The permissions that a kind needs; without them the kind is skipped.
_NEEDS = {
    WRITE: _WRITES,
    WATCH: [*_WRITES, Access("watch", "", "configmaps", namespace=NAMESPACE)],
    ENDPOINTS: [Access("list", "discovery.k8s.io", "endpointslices", namespace="default")],
}
_READ_ACCESS = Access("get", "", "configmaps", namespace=NAMESPACE)


class Prober:
    """Probes that run from ``__enter__`` to ``__exit__``.

    ``kinds`` are the kinds to probe (a watch needs writes). A kind for which the user lacks a
    permission is skipped, and the report says so. ``rate``: new connections per second; ``timeout``:
    seconds for each answer; ``name``: the ConfigMap's name, if nobody else may use the same.
    ``leftover`` is the name of the ConfigMap if it could not be deleted at the end.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        kinds: Sequence[str] = (CONNECT,),
        rate: float = 10.0,
        timeout: float = 5.0,
        name: str = "",
    ) -> None:
        self._cluster = cluster
        self._kinds = set(kinds)
        self._rate = rate
        self._timeout = timeout
        self._name = name or f"{PROBE}-{secrets.token_hex(4)}"
        self._marks: list[tuple[float, str]] = []
        self._loops: list[Loop] = []
        self._watching: Watching | None = None
        self._endpoints: Endpoints | None = None
        self._left_out: dict[str, str] = {}
        self._path = STORED
        self._over = 0.0
        self.leftover = ""

    def __enter__(self) -> Prober:
        self._cluster.transport.headers()  # an exec plugin that asks a person asks now
        if self._kinds - {CONNECT}:
            self._look_at_permissions()
        self._recorder = Recorder()
        self._make()
        if self._watching is not None:
            self._watching.start()
        for loop in self._loops:
            loop.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over = time.monotonic()
        try:
            for loop in self._loops:
                loop.stop()
            for loop in self._loops:
                loop.join()
            if self._watching is not None:
                self._watching.stop()
        finally:
            if WRITE in self._kinds:
                self._tidy_up()

    def mark(self, name: str) -> None:
        """Begin a section ``name`` of the report, which lasts until the next mark."""
        self._marks.append((time.monotonic() - self._recorder.began, name))

    def glance(self) -> tuple[int, int, float]:
        """Return requests, failures, and the longest gap in seconds so far; costs nothing."""
        return self._recorder.glance()

    def report(self) -> ProbeReport:
        """Return the report so far; after the block, the whole report."""
        now = self._over or time.monotonic()
        return summarise(
            self._recorder.samples(),
            started=self._recorder.started,
            seconds=now - self._recorder.began,
            marks=list(self._marks),
            watch=self._watching.report(now) if self._watching else None,
            endpoints_empty=self._endpoints.seconds(now) if self._endpoints else None,
            left_out=self._left_out,
        )

    def _look_at_permissions(self) -> None:
        """Skip the kinds that the user may not probe. If the API doesn't answer, skip nothing: the
        probe must see that.
        """
        needed = {kind: _NEEDS[kind] for kind in self._kinds if kind in _NEEDS}
        every = list(dict.fromkeys([_READ_ACCESS, *(one for n in needed.values() for one in n)]))
        try:
            refused = {one.access for one in denied(self._cluster.with_patience(0.0), every)}
        except ApiError:
            return
        if _READ_ACCESS in refused:
            self._path = FOR_ALL
        for kind, accesses in needed.items():
            missing = [str(one) for one in accesses if one in refused]
            if missing:
                self._left_out[kind] = f"you may not {missing[0]}"
        self._kinds -= set(self._left_out)

    def _make(self) -> None:
        transport, recorder, limit = self._cluster.transport, self._recorder, self._timeout
        if CONNECT in self._kinds:
            self._loops.append(
                Side(CONNECT, self._connect, recorder, rate=self._rate, timeout=limit)
            )
        if READY in self._kinds:
            # A server that ends answers "not ready" on kept connections before it closes them.
            self._loops.append(Side(READY, self._ready, recorder, rate=_READY_RATE, timeout=limit))
        if WATCH in self._kinds:
            self._watching = Watching(transport.apart(), self._name, recorder)
        if ENDPOINTS in self._kinds:
            self._endpoints = Endpoints()
        for kind, rate in _RATES.items():
            if kind in self._kinds:
                self._loops.append(
                    Kept(
                        kind,
                        Question(
                            transport.apart(),
                            kind,
                            path=self._path,
                            name=self._name,
                            may_write=self._cluster.may_act,
                        ),
                        recorder,
                        rate=rate,
                        timeout=limit,
                        answered=self._answered,
                    )
                )

    def _answered(self, kind: str, number: int, answer: Answer) -> None:
        if kind == WRITE and self._watching is not None:
            self._watching.written(number)
        if kind == ENDPOINTS and self._endpoints is not None:
            self._endpoints.seen(answer)

    def _connect(self, timeout: float) -> Answer:
        return self._cluster.transport.once("GET", self._path, timeout=timeout, fresh=True)

    def _ready(self, timeout: float) -> Answer:
        return self._cluster.transport.once("GET", "/readyz", timeout=timeout, fresh=True)

    def _tidy_up(self) -> None:
        self.leftover = self._name
        try:
            self._cluster.may_act()
            self._cluster.with_patience(_TIDY_UP_LIMIT).delete(CONFIGMAPS, self._name, NAMESPACE)
            self.leftover = ""
        except SelfhostError:
            return
