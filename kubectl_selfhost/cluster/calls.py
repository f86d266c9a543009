"""How a call of any kind is made: sent, outlasted, and its answer judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from kubectl_selfhost.cluster.errors import ApiError, from_response
from kubectl_selfhost.cluster.patience import OutageListener, Outages, outlast

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.transport import Answer, Transport

Manifest = dict[str, Any]
T = TypeVar("T")
_Self = TypeVar("_Self", bound="Calls")


class Calls:
    """What all verbs of a Cluster share: see there."""

    def __init__(
        self,
        transport: Transport,
        *,
        context: str = "",
        user: str = "",
        timeout: float = 10.0,
        patience: float = 0.0,
    ) -> None:
        self.transport = transport
        self.server = transport.server
        self.context = context
        self.user = user
        self.timeout = timeout
        self.patience = patience
        self._outages = Outages()

    @contextmanager
    def waiting(
        self: _Self, seconds: float, on_outage: OutageListener | None = None
    ) -> Iterator[_Self]:
        """Inside the block, calls go on trying for ``seconds`` while the API can't be reached.

        ``on_outage`` is called with a sentence when an outage begins, and with another when it is
        over; once each, however many calls and threads meet it.
        """
        before, listener = self.patience, self._outages.listener
        self.patience = seconds
        self._outages.listener = on_outage or listener
        try:
            yield self
        finally:
            self.patience, self._outages.listener = before, listener

    def with_patience(self: _Self, seconds: float) -> _Self:
        """The same cluster over the same connections, with a patience of its own."""
        return type(self)(
            self.transport,
            context=self.context,
            user=self.user,
            timeout=self.timeout,
            patience=seconds,
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
    ) -> Manifest:
        answer = self._call(method, path, asked, query=query, body=body, content_type=content_type)
        try:
            return dict(json.loads(answer.body))
        except (ValueError, TypeError) as error:
            raise ApiError(
                f"What answers at {self.server} is no Kubernetes API server: "
                f"asked to {asked}, it sent no JSON.",
                "Is there a proxy or a log-in page in between?",
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
    ) -> Answer:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = path + ("?" + urlencode(query) if query else "")

        def once(timeout: float) -> Answer:
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

        return self._outlast(once)

    def _outlast(self, once: Callable[[float], T]) -> T:
        return outlast(
            once,
            transport=self.transport,
            outages=self._outages,
            patience=self.patience,
            timeout=self.timeout,
        )
