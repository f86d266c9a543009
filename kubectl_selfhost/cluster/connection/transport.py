"""One request, one answer, through a pool of urllib3's connections.

This module uses plain paths, not the kubernetes package's API classes or its dynamic client. To
import the API classes takes 0.3 s. The dynamic client needs discovery, which costs round trips at
each start, caches in files that others may write, and fails while a control plane changes hands. The
package's rest client has no TLS settings for a proxy, no repeated Impersonate headers, and no time
limit for a whole answer.

Safe to use from several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_selfhost.cluster.connection.failures import as_unreachable
from kubectl_selfhost.cluster.connection.login import Login
from kubectl_selfhost.cluster.connection.stream import Stream
from kubectl_selfhost.cluster.errors import Unreachable
from kubectl_selfhost.names import FIELD_MANAGER

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager, Timeout


#: Connections that are kept for reuse; more may be open at a time.
_KEPT = 32


@dataclass(frozen=True)
class Answer:
    """The answer to a request. ``resent``: the request may have reached the server twice."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    resent: bool = False

    @property
    def retry_after(self) -> float | None:
        """Return the seconds of a Retry-After header; None without the header. (No server sends a
        date there.)
        """
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdigit() else None


class Transport:
    """The connections to an API server, and the headers that identify the user.

    ``impersonate`` are headers (a name may occur twice); ``log`` gets a line per request. ``server``
    is the URL of another API server of the same cluster than the kubeconfig's.
    """

    def __init__(
        self,
        login: Login,
        *,
        impersonate: Sequence[tuple[str, str]] = (),
        log: Callable[[str], None] | None = None,
        server: str = "",
    ) -> None:
        self.login = login
        self._server = server
        self.impersonate = tuple(impersonate)
        self._log = log
        self._lock = threading.Lock()
        self._pool: PoolManager | None = None
        self._pool_for = 0

    @property
    def server(self) -> str:
        """Return the API server's URL, as in the kubeconfig unless another was named."""
        return self._server or str(self.login.configuration.host).rstrip("/")

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that identify the user: user agent, credentials, impersonation. A name
        may occur twice.
        """
        authorization = self.login.authorization()
        known = [("Authorization", authorization)] if authorization else []
        return [("User-Agent", FIELD_MANAGER), *known, *self.impersonate]

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,
    ) -> Answer:
        """Return the answer to a request, whatever its status; ``path`` includes the query.

        ``timeout`` is the limit in seconds for the whole answer. If the connection breaks, send the
        request once more on a new connection: the server may have closed a kept one. After a 401,
        send the request once more with new credentials, if there are any. Raise Unreachable.
        """
        headers = [("Accept", accept), ("Content-Type", content_type)]
        generation = self.login.generation
        answer = self._twice(method, path, headers, body, timeout)
        if answer.status == 401 and self.login.renew(generation):
            answer = self._twice(method, path, headers, body, timeout)
        return answer

    def _twice(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout: float,
    ) -> Answer:
        deadline = time.monotonic() + timeout
        try:
            return self.once(method, path, headers=headers, body=body, timeout=timeout)
        except Unreachable as error:
            left = deadline - time.monotonic()
            if error.reason not in ("reset", "closed") or left <= 0:
                raise
        answer = self.once(method, path, headers=headers, body=body, timeout=left, fresh=True)
        return Answer(answer.status, answer.headers, answer.body, resent=True)

    def once(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        timeout: float = 10.0,
        fresh: bool = False,
    ) -> Answer:
        """Send as ``request`` does, but only once; ``fresh``: on a connection of its own."""
        from urllib3 import HTTPHeaderDict, Timeout

        every = HTTPHeaderDict()
        for name, value in [*headers, *self.headers()]:
            every.add(name, value)
        if fresh:
            every.add("Connection", "close")
        began = time.monotonic()
        try:
            pool = _make_pool(self.login) if fresh else self._kept_pool()
            limit = Timeout(connect=timeout, read=timeout, total=timeout)
            response = _send(pool, method, self.server + path, every, limit, body)
            data = _read(response, began + timeout)
            if fresh:
                pool.clear()
        except (OSError, ValueError, _http_error()) as error:
            proxy = self.login.configuration.proxy
            failure = as_unreachable(error, server=self.server, proxy=proxy)
            self.note(method, path, failure.reason, time.monotonic() - began)
            raise failure from error
        self.note(method, path, str(response.status), time.monotonic() - began)
        return Answer(
            response.status, {key.lower(): value for key, value in response.headers.items()}, data
        )

    def stream(self, path: str, *, silence: float) -> Stream:
        """Return an answer without an end, on a connection of its own.

        ``silence``: seconds without a byte after which the connection counts as broken. Raise
        Unreachable.
        """
        from urllib3 import HTTPHeaderDict, Timeout

        every = HTTPHeaderDict()
        for name, value in [("Accept", "application/json"), *self.headers()]:
            every.add(name, value)
        began = time.monotonic()
        try:
            limit = Timeout(connect=silence, read=silence)
            response = _send(_make_pool(self.login), "GET", self.server + path, every, limit)
        except (OSError, ValueError, _http_error()) as error:
            failure = as_unreachable(error, server=self.server)
            self.note("GET", path, failure.reason, time.monotonic() - began)
            raise failure from error
        self.note("GET", path, str(response.status), time.monotonic() - began)
        return Stream(response, self.server)

    def apart(self, server: str = "") -> Transport:
        """Return a transport with the same login, on kept connections of its own; to another
        ``server`` of the cluster, if one is named.
        """
        where = server or self._server
        return Transport(self.login, impersonate=self.impersonate, log=self._log, server=where)

    def note(self, method: str, path: str, outcome: str, seconds: float) -> None:
        """Write the line that ``-v=6`` shows, without headers and without a body."""
        if self._log is not None:
            milliseconds = f"{seconds * 1000:.0f} milliseconds"
            self._log(f"{method} {self.server}{path} {outcome} in {milliseconds}")

    def _kept_pool(self) -> PoolManager:
        """Return the pool of kept connections; make a new pool after the login was renewed."""
        with self._lock:
            if self._pool is None or self._pool_for != self.login.generation:
                self._pool, self._pool_for = _make_pool(self.login), self.login.generation
            return self._pool

    def forget(self) -> None:
        """Forget the kept connections: the next request makes a new connection.

        This does not close the connections: another thread may be about to use one of them.
        """
        with self._lock:
            self._pool = None


def _make_pool(login: Login) -> PoolManager:
    import logging

    import urllib3

    configuration = login.configuration
    options: dict[str, Any] = {
        "maxsize": _KEPT,
        "ssl_context": login.context,
        "server_hostname": configuration.tls_server_name or None,
    }
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # urllib3 prints a warning for each connection that it can't keep.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if not configuration.proxy:
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(
        configuration.proxy,
        proxy_headers=configuration.proxy_headers,
        proxy_ssl_context=login.proxy_context,
        **options,
    )


def _send(
    pool: PoolManager,
    method: str,
    url: str,
    headers: HTTPHeaderDict,
    limit: Timeout,
    body: bytes | None = None,
) -> BaseHTTPResponse:
    return pool.request(
        method,
        url,
        body=body,
        headers=headers,
        timeout=limit,
        retries=False,
        redirect=False,
        preload_content=False,
    )


def _http_error() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError


def _read(response: BaseHTTPResponse, deadline: float) -> bytes:
    """Return the body. The time limit applies to the whole body, also if the server sends slowly."""
    parts = []
    try:
        while part := response.read1(65536):
            parts.append(part)
            if time.monotonic() > deadline:
                raise TimeoutError
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return b"".join(parts)
