"""An API server that keeps ConfigMaps, serves watches on them, and can end or tear these."""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakes.api_store import Store
from fakes.bad_server import Reply, Request, Server, reset, status

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class WatchServer:
    """An API that gives ``server`` its answers. ``forgetful``: events before a watch's begin are
    lost. ``late``: seconds by which events come after their writes were answered.

    ``late``: seconds by which events come after their writes were answered.
    """

    def __init__(self, server: Server) -> None:
        self.store = Store()
        self.history: list[dict[str, Any]] = []
        self.addresses = ["10.0.0.2"]
        self.forgetful = False
        self.late = 0.0
        self.watches = 0
        self.denied: set[str] = set()
        self._order = ""
        self._news = threading.Condition()
        server.answer = self.answer
        server.raw = self.raw

    def answer(self, request: Request) -> Reply:
        path = request.path.partition("?")[0]
        if path.endswith("/selfsubjectaccessreviews"):
            wanted = request.json["spec"]["resourceAttributes"]
            allowed = f"{wanted['verb']} {wanted['resource']}" not in self.denied
            return Reply(201, {"status": {"allowed": allowed}})
        if path in ("/readyz", "/version"):
            return Reply(200, {})
        if path == SLICES:
            return Reply(200, {"items": [{"endpoints": [{"addresses": self.addresses}]}]})
        with self._news:
            reply = self.store(request)
            if request.method == "PATCH":
                self.history.append(reply.body)
                self._news.notify_all()
        return reply

    def raw(self, sock: ssl.SSLSocket, request: Request) -> bool:
        query = parse_qs(urlsplit(request.path).query)
        if "watch" not in query:
            return False
        self.watches += 1
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with self._news:
            since = int(query.get("resourceVersion", ["0"])[0])
            if self.forgetful:
                since = int(self.history[-1]["metadata"]["resourceVersion"])
            self._serve(sock, since)
        return True

    def order(self, what: str) -> None:
        """Set what the watch does next: ``end`` (in good order), ``tear``, ``expire``."""
        with self._news:
            self._order = what
            self._news.notify_all()

    def _serve(self, sock: ssl.SSLSocket, since: int) -> None:
        while True:
            for made in self.history:
                if int(made["metadata"]["resourceVersion"]) > since:
                    self._news.wait_for(lambda: False, self.late)
                    _chunk(sock, {"type": "MODIFIED", "object": made})
                    since = int(made["metadata"]["resourceVersion"])
            order, self._order = self._order, ""
            if order == "expire":
                gone = status(410, "Expired", "too old resource version").body
                _chunk(sock, {"type": "ERROR", "object": gone})
            if order in ("end", "expire"):
                sock.sendall(b"0\r\n\r\n")
            if order == "tear":
                reset(sock)
            if order:
                return
            self._news.wait(0.5)


def _chunk(sock: ssl.SSLSocket, event: dict[str, Any]) -> None:
    line = json.dumps(event).encode() + b"\n"
    sock.sendall(b"%x\r\n%b\r\n" % (len(line), line))
