"""The way of every call: send it, try again during an outage, and turn errors into exceptions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

from kubectl_selfhost.cluster.connection.patience import (
    READING_PATIENCE,
    OutageListener,
    Outages,
    outlast,
)
from kubectl_selfhost.cluster.connection.transport import Answer, Transport
from kubectl_selfhost.cluster.errors import ApiError, from_response

Manifest = dict[str, Any]
T = TypeVar("T")
_Self = TypeVar("_Self", bound="Calls")


class Calls:
    """The base that all calls of a Cluster share; see ``Cluster``."""

    def __init__(
        self,
        transport: Transport,
        *,
        context: str = "",
        user: str = "",
        timeout: float = 10.0,
        patience: float = 0.0,
        reading_patience: float = READING_PATIENCE,
    ) -> None:
        self.transport = transport
        self.server = transport.server
        self.context = context
        self.user = user
        self.timeout = timeout
        self.patience = patience
        self._reading_patience = reading_patience
        self._may_act: Callable[[], None] = nothing
        self._outages = Outages()

    @contextmanager
    def waiting(
        self: _Self, seconds: float, on_outage: OutageListener | None = None
    ) -> Iterator[_Self]:
        """Let calls inside the block try again for ``seconds`` while they can't reach the API.

        ``on_outage`` is called with a sentence once when an outage begins, and once when the outage
        is over, however many calls and threads meet the outage.
        """
        before, listener = self.patience, self._outages.listener
        self.patience = seconds
        self._outages.listener = on_outage or listener
        try:
            yield self
        finally:
            self.patience, self._outages.listener = before, listener

    @contextmanager
    def acting_while(self: _Self, may_act: Callable[[], None]) -> Iterator[_Self]:
        """Call ``may_act`` before each request inside the block; ``may_act`` raises to prevent the
        request.

        This includes requests that only read, so that a wait ends when its run may no longer act.
        """
        before, self._may_act = self._may_act, may_act
        try:
            yield self
        finally:
            self._may_act = before

    def may_act(self) -> None:
        """Call the ``may_act`` of ``acting_while``, which raises if a request must not be sent now."""
        self._may_act()

    def with_patience(self: _Self, seconds: float, *, timeout: float | None = None) -> _Self:
        """Return a copy with the same connections and a patience of its own.

        Every call of the copy tries again for ``seconds``, including calls that only read. The
        ``may_act`` of ``acting_while`` is not called for the copy.
        """
        return type(self)(
            self.transport,
            context=self.context,
            user=self.user,
            timeout=self.timeout if timeout is None else timeout,
            patience=seconds,
            reading_patience=seconds,
        )

    def at(self: _Self, server: str, *, timeout: float) -> _Self:
        """Return a client of another API server of this cluster, at its own URL; no call is tried
        again.
        """
        return type(self)(
            self.transport.apart(server),
            context=self.context,
            user=self.user,
            timeout=timeout,
            reading_patience=0.0,
        )

    def _json(
        self,
        method: str,
        path: str,
        asked: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        reads: bool = False,
    ) -> Manifest:
        answer = self._call(
            method, path, asked, query=query, body=body, content_type=content_type, reads=reads
        )
        try:
            return dict(json.loads(answer.body))
        except (ValueError, TypeError) as error:
            raise ApiError(
                f"The server at {self.server} is no Kubernetes API server: "
                f"its answer to '{asked}' is not JSON.",
                "Check whether a proxy or a login page answers instead, and check --context.",
                status=answer.status,
            ) from error

    def _call(
        self,
        method: str,
        path: str,
        asked: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        reads: bool = False,
    ) -> Answer:
        """Return the answer; ``reads``: the request changes nothing, whatever its method."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = path + ("?" + urlencode(query) if query else "")

        def once(timeout: float) -> Answer:
            self.may_act()
            answer = self.transport.request(
                method, url, body=data, content_type=content_type, accept=accept, timeout=timeout
            )
            if answer.status < 400:
                return answer
            error = from_response(
                action=asked,
                server=self.server,
                status=answer.status,
                body=answer.body,
                retry_after=answer.retry_after,
            )
            error.retried = answer.resent
            raise error

        return self._outlast(once, reads=reads or method == "GET")

    def _outlast(self, once: Callable[[float], T], *, reads: bool = False) -> T:
        return outlast(
            once,
            transport=self.transport,
            outages=self._outages,
            patience=self.patience,
            reading_patience=self._reading_patience if reads else 0.0,
            timeout=self.timeout,
        )


def nothing() -> None:
    """Permit every request."""
