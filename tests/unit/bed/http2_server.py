"""A real HTTPS server for the benchmark's writer: HTTP/2 by h2 itself, and HTTP/1.1 for the rest."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

#: Is given the connection, its number (from 1) and a stream whose request is complete; False closes
#: the socket.
Answering = Callable[[H2Connection, int, int], bool]


def answer(h2: H2Connection, stream: int, status: int = 200, *headers: tuple[str, str]) -> bool:
    """Send a good answer, or another one."""
    h2.send_headers(stream, [(":status", str(status)), *headers])
    h2.send_data(stream, b"{}", end_stream=True)
    return True


class Http2Server:
    """A server on 127.0.0.1 that serves until ``stop``; each connection in a thread."""

    def __init__(self, folder: Path, answering: Answering) -> None:
        self.certificate = folder / "server.pem"
        key = folder / "key.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        argv += ["-nodes", "-days", "2", "-subj", "/CN=server", "-keyout", str(key)]
        argv += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(self.certificate)]
        subprocess.run(argv, check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._answering = answering
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with self._context.wrap_socket(raw, server_side=True) as connection:
            if connection.selected_alpn_protocol() != "h2":
                data = b""
                while not data.endswith(b"}"):  # the body's end: it is JSON
                    data += connection.recv(65536)
                body = b'{"metadata": {"name": "x"}}'
                head = (
                    f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                connection.sendall(head.encode() + body)
                return
            self.connections += 1
            self._serve_http2(connection, self.connections)

    def _serve_http2(self, connection: ssl.SSLSocket, number: int) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        connection.sendall(h2.data_to_send())
        while data := connection.recv(65536):
            for event in h2.receive_data(data):
                if isinstance(event, RequestReceived):
                    assert dict(event.headers)[":method"] == "PATCH"
                if isinstance(event, StreamEnded) and not self._answering(
                    h2, number, event.stream_id
                ):
                    connection.sendall(h2.data_to_send())
                    return
            connection.sendall(h2.data_to_send())
