"""A writer over one kept HTTP/2 connection, as in client-go: each write is a stream of its own.

An open loop (see kubectl_selfhost.probe.loops): a write is sent when it is due, whether the write
before is answered or not. A GOAWAY is no failure: the writer sends again, on a new connection, what
the server says it has not looked at; the rest is still answered on the old connection.
"""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from h2.exceptions import H2Error

from bed.bench.link import Link, Write
from kubectl_selfhost.cluster.connection.failures import as_unreachable
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.probe.loops import Recorder
from kubectl_selfhost.probe.sightings import NOT_SENT, RETRY_AFTER, summarise

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.cluster.connection.login import Login

RATE = 30  # writes a second
ANSWER = 5.0  # seconds for each answer, from when the write was due
KIND = "http2"
#: The number of ConfigMaps, written in turn: patches of one ConfigMap that overlap would conflict.
OBJECTS = RATE


class Writer:
    """A client that writes from ``__enter__`` to ``__exit__``; ``due`` is how many writes there
    were to make.

    Its ConfigMaps stay: they go with the cluster.
    """

    def __init__(self, cluster: Cluster, login: Login) -> None:
        """Prepare the writer. ``login`` is a login to ``cluster`` for this writer alone: its TLS
        context speaks HTTP/2 afterwards.
        """
        self._cluster = cluster
        where = urlsplit(cluster.server)
        self._address = (where.hostname or "", where.port or 443)
        if login.context is None:
            raise ValueError(f"{cluster.server} has no TLS")
        self._context = login.context
        self._context.set_alpn_protocols(["h2"])
        self._current: Link | None = None
        self._links: list[Link] = []
        self._again: list[Write] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http2", daemon=True)
        self._connections = self._goaways = self._resent = 0
        self.due = 0

    def __enter__(self) -> Writer:
        for number in range(OBJECTS):
            name = {"name": _name(number), "namespace": NAMESPACE}
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name}
            self._cluster.create(CONFIGMAPS, manifest)
        self._recorder = Recorder()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._seconds = time.monotonic() - self._recorder.began
        self._stop.set()
        self._thread.join(ANSWER + 2.0)

    def report(self) -> dict[str, Any]:
        """Return what the writer saw, after the end: the fields of a Probe document's kinds, and
        what became of its connections.
        """
        samples = self._recorder.samples()
        seen = summarise(samples, started=self._recorder.started, seconds=self._seconds)
        return {
            "name": KIND,
            "requests": seen.requests,
            "failed": seen.failed,
            "retryAfter": seen.failures.get(RETRY_AFTER, 0),
            "failures": dict(seen.failures),
            "longestGap": round(seen.kinds[KIND].longest_gap or 0.0, 3),
            "connections": self._connections,
            "goaways": self._goaways,
            "resent": self._resent,
        }

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.is_set():
            due = began + self.due / RATE
            self._turn(until=due)
            if time.monotonic() >= due:
                self._send(Write(self.due, due))
                self.due += 1
        while self._again or any(
            link.writes for link in self._links
        ):  # they were sent, so they count
            self._turn(until=time.monotonic() + 1 / RATE)
        for link in self._links:
            link.close()

    def _turn(self, *, until: float) -> None:
        self._receive(until=until)
        self._give_up_late_ones()
        again, self._again = self._again, []
        for write in again:
            self._send(write)

    def _send(self, write: Write) -> None:
        if time.monotonic() - write.due >= ANSWER:
            self._done(write, "timeout")
            return
        try:
            link = self._connected()
        except OSError as error:
            self._done(write, self._why(error))
            return
        if link.full:
            self._done(write, NOT_SENT)
            return
        path = CONFIGMAPS.path(_name(write.number), NAMESPACE)
        try:
            link.send(write, path, self._cluster.transport.headers())
        except (OSError, H2Error) as error:
            self._torn(link, error)

    def _connected(self) -> Link:
        """Return the connection that takes new streams, made if there is none. Raise OSError."""
        if self._current is None:
            self._current = Link(self._address, self._context, timeout=ANSWER)
            self._links.append(self._current)
            self._connections += 1
        return self._current

    def _receive(self, *, until: float) -> None:
        """Read what comes, up to ``until`` (monotonic), or once if this time is past."""
        while True:
            left = until - time.monotonic()
            if not self._links:
                time.sleep(max(0.0, left))
            else:
                for link in select.select(self._links, [], [], max(0.0, left))[0]:
                    self._take(link)
            if until - time.monotonic() <= 0 or self._again:
                return

    def _take(self, link: Link) -> None:
        try:
            link.receive()
        except (OSError, H2Error) as error:
            self._torn(link, error)
            return
        self._collect(link)
        if link.leaving and not link.writes:
            self._drop(link)

    def _collect(self, link: Link) -> None:
        """Record what became of the writes on ``link``."""
        for write, how in link.ended():
            self._done(write, how)
        refused = link.refused()
        self._again += refused
        self._resent += len(refused)
        if link.leaving and link is self._current:
            self._goaways += 1
            self._current = None

    def _torn(self, link: Link, error: Exception) -> None:
        """Record that nothing more comes over ``link``: the writes without an answer have failed."""
        self._collect(link)
        for write in link.writes.values():
            self._done(write, self._why(error))
        self._drop(link)

    def _drop(self, link: Link) -> None:
        link.close()
        self._links.remove(link)
        if link is self._current:
            self._current = None

    def _give_up_late_ones(self) -> None:
        """Stop using a connection that leaves a write unanswered for too long: it gets no new
        writes.
        """
        now = time.monotonic()
        for link in list(self._links):
            late = {key: one for key, one in link.writes.items() if now - one.due >= ANSWER}
            for key, write in late.items():
                del link.writes[key]
                self._done(write, "timeout")
            if late and link is self._current:
                self._current = None
            if not link.writes and link is not self._current:
                self._drop(link)

    def _why(self, error: Exception) -> str:
        if isinstance(error, H2Error):
            return "protocol"
        return as_unreachable(error, server=self._cluster.server).reason

    def _done(self, write: Write, how: str) -> None:
        self._recorder.add(KIND, write.due, how)


def _name(number: int) -> str:
    return f"bench-http2-{number % OBJECTS}"
