"""A watch on an object that the probe writes without a pause: what a controller's informer sees."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from kubectl_selfhost.cluster.connection.stream import Stream
from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import Unreachable
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.probe.loops import Recorder, failure
from kubectl_selfhost.probe.sightings import OK, RETRY_AFTER, WATCH, WatchReport

#: The key of the ConfigMap that counts the writes.
BEAT = "beat"
CLEANLY = "cleanly"
#: The server no longer has the old events (for example because it has just started): a client lists
#: again and watches from there, silently.
EXPIRED = "expired"
#: The failures with which a watch ends when its server ends. Every client continues from its last
#: event. Lost events, and a watch that could not begin, show what this costs.
_TORN = ("closed", "reset")
_AGAIN_AFTER = 0.25
#: Several events per second are due: a connection that is silent for so many seconds is dead.
_SILENCE = 10.0
_LAST_EVENTS_LIMIT = 2.0


class Watching:
    """A watch on the ConfigMap ``name`` from ``start`` to ``stop``, which restarts when it ends.

    Each start is a request of kind "watch". A broken connection is a failed request of this kind. A
    watch without a resourceVersion begins with the current object, which contains all earlier writes.
    """

    def __init__(self, transport: Transport, name: str, recorder: Recorder) -> None:
        self._transport = transport
        self._name = name
        self._recorder = recorder
        self._lock = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="probe-watch", daemon=True)
        self._stream: Stream | None = None
        self._version = ""
        self._written: set[int] = set()
        self._seen: set[int] = set()
        self._base: int | None = None  # the events of writes up to this number are not due any more
        self._fresh = True
        self._ended: Counter[str] = Counter()
        self._last_event = self._longest = 0.0

    def start(self) -> None:
        """Start the watch; a silence counts from now on."""
        self._last_event = time.monotonic()
        self._thread.start()

    def written(self, number: int) -> None:
        """Note that the write ``number`` succeeded: its event is due."""
        with self._lock:
            self._written.add(number)

    def stop(self) -> None:
        """Wait a moment for the last events, then end the watch."""
        with self._lock:
            self._lock.wait_for(lambda: not self._due(), timeout=_LAST_EVENTS_LIMIT)
        self._stop.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        self._thread.join(1.0)

    def report(self, until: float) -> WatchReport:
        """Return what the watch saw up to ``until`` (monotonic)."""
        with self._lock:
            due, newest = self._due(), max(self._seen, default=0)
            return WatchReport(
                events=len(self._seen),
                # Events come in order, so a missing event never comes.
                lost=sum(number < newest for number in due),
                unseen=sum(number > newest for number in due) if self._stop.is_set() else 0,
                ended=dict(self._ended),
                longest_silence=max(self._longest, until - self._last_event),
            )

    def _due(self) -> set[int]:
        """Return the writes without an event."""
        base = -1 if self._base is None else self._base
        return {number for number in self._written - self._seen if number > base}

    def _run(self) -> None:
        while not self._stop.is_set():
            self._watch()
            self._stop.wait(_AGAIN_AFTER)

    def _watch(self) -> None:
        """Watch once, from the start of a watch to its end."""
        began = time.monotonic()
        try:
            stream = self._transport.stream(self._path(), silence=_SILENCE)
        except SelfhostError as error:
            self._recorder.add(WATCH, began, failure(error))
            return
        with self._lock:
            self._stream = stream
            if self._stop.is_set():
                stream.close()
        if stream.status != 200:
            later = stream.status in (429, 503) and stream.headers.get("retry-after", "").isdigit()
            how = RETRY_AFTER if later else f"http-{stream.status}"
            if stream.status == 410:
                self._version, self._fresh = "", True
            self._recorder.add(WATCH, began, how)
            stream.close()
            return
        self._recorder.add(WATCH, began, OK)
        self._follow(stream)

    def _follow(self, stream: Stream) -> None:
        how = CLEANLY
        try:
            for line in stream.lines():
                if (said := self._event(json.loads(line))) is not None:
                    how = said
                    break
        except Unreachable as error:
            how = error.reason
        except (ValueError, AttributeError):
            how = "no-json"
        stream.close()
        if self._stop.is_set():
            return
        with self._lock:
            self._ended[how] += 1
            self._stream = None
        if how not in (CLEANLY, EXPIRED, *_TORN):
            self._recorder.add(WATCH, time.monotonic(), how)

    def _event(self, event: dict[str, Any]) -> str | None:
        """Record an event; return how the watch ended, if the event says so."""
        thing = event.get("object") or {}
        if event.get("type") == "ERROR":
            self._version, self._fresh = "", True
            return (
                EXPIRED if thing.get("code") == 410 else str(thing.get("reason") or "error").lower()
            )
        self._version = (thing.get("metadata") or {}).get("resourceVersion") or self._version
        beat = (thing.get("data") or {}).get(BEAT, "")
        if event.get("type") in ("ADDED", "MODIFIED") and beat.isdigit():
            self._took(int(beat))
        return None

    def _took(self, number: int) -> None:
        now = time.monotonic()
        with self._lock:
            if self._fresh:
                self._base, self._fresh = number, False
            self._longest = max(self._longest, now - self._last_event)
            self._last_event = now
            self._seen.add(number)
            self._lock.notify_all()

    def _path(self) -> str:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "fieldSelector": f"metadata.name={self._name}",
            **({"resourceVersion": self._version} if self._version else {}),
        }
        return f"{CONFIGMAPS.path(None, NAMESPACE)}?{urlencode(query)}"
