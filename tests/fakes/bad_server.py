"""A real HTTPS server that behaves as badly as a test asks, with certificates of its own.

Nothing of the program is replaced: connections, TLS and HTTP are those that a person would use.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubectl_selfhost.cluster import lean
from kubectl_selfhost.cluster.connection.login import Login

lean.prepare()


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: an authority, a server's certificate for 127.0.0.1, a client's."""

    directory: Path

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    @property
    def ca(self) -> Path:
        return self.path("ca")

    @property
    def client(self) -> Path:
        return self.path("client")


def openssl(*args: str, cwd: Path) -> None:
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


def make_certificate(directory: Path, name: str, *, names: str = "", days: str = "2") -> None:
    """Make a key and a certificate of the authority in ``directory``, without key identifiers:
    kubeadm's CA makes such certificates, and Python 3.13's strict mode would refuse them.
    """
    openssl(
        *("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}-key.pem"),
        cwd=directory,
    )
    openssl(
        *("req", "-new", "-key", f"{name}-key.pem", "-subj", f"/O=testers/CN={name}"),
        *("-out", f"{name}.csr"),
        cwd=directory,
    )
    (directory / f"{name}.ext").write_text(f"subjectAltName={names}\n" if names else "")
    openssl(
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem"),
        *("-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        cwd=directory,
    )


@dataclass
class Request:
    """A request that came to the server."""

    method: str
    path: str
    headers: dict[str, list[str]]
    body: bytes
    peer: dict[str, Any]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return ", ".join(self.headers.get(name.lower(), []))


@dataclass
class Reply:
    """An answer. ``reset``: none, the connection is torn; ``close``: the connection is closed after
    it.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    reset: bool = False
    close: bool = False
    chunked: bool = False


def status(code: int, reason: str, message: str) -> Reply:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return Reply(code, {**body, "message": message})


class Server:
    """An API server made of a function. ``answers`` are given first, then ``answer`` is called."""

    def __init__(self, certificates: Certificates, *, port: int = 0, cert: str = "server") -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.answers: list[Reply] = []
        self.answer: Callable[[Request], Reply] = lambda _: Reply(200, {})
        self.raw: Callable[[ssl.SSLSocket, Request], bool] | None = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(
            certificates.directory / f"{cert}.pem", certificates.directory / f"{cert}-key.pem"
        )
        self._context.load_verify_locations(certificates.directory / "ca.pem")
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._open: list[socket.socket] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer._handle(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._listener = Listener(("127.0.0.1", port), Handler)
        self.port = self._listener.server_address[1]
        threading.Thread(
            target=lambda: self._listener.serve_forever(poll_interval=0.02), daemon=True
        ).start()

    def _handle(self, plain: socket.socket) -> None:
        self.connections += 1
        try:
            with self._context.wrap_socket(plain, server_side=True) as sock:
                self._open.append(sock)
                reader = sock.makefile("rb")
                while self._serve(sock, reader):
                    pass
        except OSError:
            pass

    def _serve(self, sock: ssl.SSLSocket, reader: Any) -> bool:
        line = reader.readline().decode()
        if not line:
            return False
        method, path, _ = line.split(" ")
        headers: dict[str, list[str]] = {}
        while (line := reader.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            headers.setdefault(name.lower(), []).append(value)
        body = reader.read(int(headers.get("content-length", ["0"])[0]))
        request = Request(method, path, headers, body, sock.getpeercert() or {})
        self.requests.append(request)
        if self.raw is not None and self.raw(sock, request):
            return False
        reply = self.answers.pop(0) if self.answers else self.answer(request)
        return _send(sock, reply)

    def drop_connections(self) -> None:
        """Close what is open, as a restarted server has."""
        for sock in self._open:
            reset(sock)
        self._open.clear()

    def stop(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self.drop_connections()


def reset(sock: socket.socket) -> None:
    """Close with a RST, not a FIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


def _send(sock: ssl.SSLSocket, reply: Reply) -> bool:
    time.sleep(reply.after)
    if reply.reset:
        reset(sock)
        return False
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {"Content-Type": "application/json", **reply.headers}
    if reply.chunked:
        headers["Transfer-Encoding"] = "chunked"
        pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    else:
        headers.setdefault("Content-Length", str(len(body)))
    if reply.close:
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {reply.status} Whatever"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return not reply.close


class TokenLogin(Login):
    """The login of a kubeconfig that has just what the arguments say."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        server_name: str = "",
        insecure: bool = False,
        path: str = "",
    ) -> None:
        self._settings = {
            "host": f"https://{host}:{port}{path}",
            "ssl_ca_cert": str(ca) if ca else None,
            "cert_file": str(certificate) if certificate else None,
            "key_file": str(key) if key else None,
            "tls_server_name": server_name or None,
            "verify_ssl": not insecure,
            "api_key": {"authorization": "Bearer s3cret-t0ken"},
        }
        super().__init__()

    def _fill(self, configuration: Any, _directory: str) -> None:
        vars(configuration).update(self._settings)
