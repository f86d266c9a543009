"""An answer without an end: a watch's lines, until the server ends it or the connection breaks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kubectl_selfhost.cluster.connection.failures import as_unreachable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Stream:
    """An answer as it comes: ``status``, ``headers`` (names in small letters), and lines."""

    def __init__(self, response: BaseHTTPResponse, server: str) -> None:
        self._response = response
        self._server = server
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}

    def lines(self) -> Iterator[bytes]:
        """Yield each line until the server ends the stream in good order. Raise Unreachable if the
        connection breaks.
        """
        from urllib3.exceptions import HTTPError

        rest = b""
        try:
            while part := self._response.read1(65536):
                *whole, rest = (rest + part).split(b"\n")
                yield from whole
        except (OSError, ValueError, HTTPError) as error:
            raise as_unreachable(error, server=self._server) from error

    def close(self) -> None:
        """End the stream, also while another thread waits for the next line."""
        sock = getattr(getattr(self._response, "connection", None), "sock", None)
        if sock is None:
            self._response.close()
            return
        with suppress(OSError, ValueError):
            sock.shutdown(socket.SHUT_RDWR)
