"""One HTTP/2 connection with writes under way on it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from bed.command import say
from kubectl_selfhost.cluster.connection.transport import Answer
from kubectl_selfhost.probe.loops import outcome


@dataclass
class Write:
    """A write: which one, when it was due (monotonic), and its answer's headers once they came."""

    number: int
    due: float
    headers: dict[str, str] = field(default_factory=dict)


class _Lasting(H2Connection):
    """A connection that lasts after a GOAWAY. h2 takes a connection for closed then, but by the
    standard (RFC 9113, 6.8) the answers to what was sent before are still to come.
    """

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        frames, events = super()._receive_goaway_frame(frame)
        self.state_machine.state = ConnectionState.CLIENT_OPEN
        return frames, events


class Link:
    """A connection. ``writes`` are those without an answer, by stream; ``leaving`` is set by a
    GOAWAY: the connection takes no new writes then.
    """

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, *, timeout: float
    ) -> None:
        """Connect within ``timeout`` seconds for each step; ``context`` must ask for h2.

        Raise OSError.
        """
        self._authority = f"{address[0]}:{address[1]}"
        raw = socket.create_connection(address, timeout=timeout)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = context.wrap_socket(raw, server_hostname=address[0])
            if self._socket.selected_alpn_protocol() != "h2":
                raise ConnectionAbortedError("the server speaks no HTTP/2")
        except BaseException:
            raw.close()
            raise
        self._timeout = timeout
        self._h2 = _Lasting(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.writes: dict[int, Write] = {}
        self.leaving = False
        self._ended: list[tuple[Write, str]] = []
        self._refused: list[Write] = []
        self._h2.initiate_connection()
        self._flush()

    @property
    def full(self) -> bool:
        """Return whether as many streams are open as the server allows."""
        most = self._h2.remote_settings.max_concurrent_streams
        return self._h2.open_outbound_streams >= most

    def fileno(self) -> int:
        """Return the file descriptor, for select()."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection without a message."""
        self._socket.close()

    def send(self, write: Write, path: str, who: Sequence[tuple[str, str]]) -> None:
        """Send ``write``, a patch of ``path``, with the headers ``who``. Raise OSError and H2Error.

        The write belongs to this connection from then on, even if the sending fails.
        """
        body = json.dumps({"data": {"beat": str(write.number)}}).encode()
        headers = [
            (":method", "PATCH"),
            (":path", path),
            (":scheme", "https"),
            (":authority", self._authority),
            ("accept", "application/json"),
            ("content-type", "application/merge-patch+json"),
            ("content-length", str(len(body))),
            *((name.lower(), value) for name, value in who),
        ]
        stream = self._h2.get_next_available_stream_id()
        self.writes[stream] = write
        self._h2.send_headers(stream, headers)
        self._h2.send_data(stream, body, end_stream=True)
        self._flush()

    def receive(self) -> None:
        """Read what has come. Raise OSError (also at its end) and H2Error."""
        self._socket.settimeout(0.0)
        while True:
            try:
                data = self._socket.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            if not data:
                raise ssl.SSLEOFError("the server closed the connection")
            for event in self._h2.receive_data(data):
                self._take(event)
        self._flush()

    def ended(self) -> list[tuple[Write, str]]:
        """Return the writes that were answered since the last call, and how."""
        ended, self._ended = self._ended, []
        return ended

    def refused(self) -> list[Write]:
        """Return the writes that the server has not looked at, since the last call."""
        refused, self._refused = self._refused, []
        return refused

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            if event.stream_id in self.writes:
                self.writes[event.stream_id].headers = dict(event.headers)
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            if write := self.writes.pop(event.stream_id, None):
                status = int(write.headers[":status"])
                self._ended.append((write, outcome(Answer(status, write.headers, b""))))
        elif isinstance(event, StreamReset):
            self._reset(event)
        elif isinstance(event, ConnectionTerminated):
            self.leaving = True
            last = event.last_stream_id or 0
            self._refused += [self.writes.pop(n) for n in sorted(self.writes) if n > last]
            if event.error_code:
                say(f"HTTP/2: the server said goodbye because of {event.error_code!r}")

    def _reset(self, event: StreamReset) -> None:
        write = self.writes.pop(event.stream_id, None)
        if write is None:
            return
        if event.error_code == ErrorCodes.REFUSED_STREAM:
            self._refused.append(write)
        else:
            self._ended.append((write, "reset"))

    def _flush(self) -> None:
        self._socket.settimeout(self._timeout)
        if data := self._h2.data_to_send():
            self._socket.sendall(data)
