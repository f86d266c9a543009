"""An answer without an end: the lines of a watch, until the server or a fault ends the connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from kubectl_selfhost.cluster.connection.failures import as_unreachable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class Stream:
    """An answer while it arrives: ``status``, ``headers`` (names in lower case), and lines."""

    def __init__(self, response: BaseHTTPResponse, server: str) -> None:
        self._response = response
        self._server = server
        self.status = response.status
        self.headers = {key.lower(): value for key, value in response.headers.items()}

    def lines(self) -> Iterator[bytes]:
        """Yield each line until the server ends the stream. Raise Unreachable if the connection
        breaks.
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
        """End the stream, even while another thread waits for the next line."""
        sock = getattr(getattr(self._response, "connection", None), "sock", None)
        if sock is None:
            self._response.close()
            return
        with suppress(OSError, ValueError):
            sock.shutdown(socket.SHUT_RDWR)
