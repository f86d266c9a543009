"""How a call outlasts an API server that is away for a while.

While the API is away, ``outlast`` sends a cheap request (GET /version) every quarter of a second with
a short time limit. When the API answers this request, ``outlast`` tries the call itself again. So
``outlast`` notices the end of an outage at once, and a slow call still gets all of its time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import (
    ApiError,
    Forbidden,
    Rejected,
    Unauthorized,
    Unreachable,
    Untrusted,
)

T = TypeVar("T")
OutageListener = Callable[[str], None]

#: Seconds for which a call that only reads is tried again, even outside of a run's hand-overs: an API
#: server that has just read a new client certificate closes its connections to the kubelets, and
#: answers 503 to a call that uses such a connection (``kubeadm certs renew``, Kubernetes 1.37).
READING_PATIENCE = 10.0
#: Reasons of failures after which the next try may succeed. A refused connection, an unknown name and
#: an expired time limit are reported at once: the address may be wrong.
_PASSING = {"reset", "closed"}
_PASSING_STATUS = {429, 500, 502, 503, 504}

_KNOCK_EVERY = 0.25
_KNOCK_LIMIT = 2.0
#: A new API server answers 403 (or 401, to a service account) until its caches are filled: for 0.6 to
#: 1 s with Kubernetes 1.37, and for 2.5 s on a busy machine. A patient caller had the permission
#: before, so such a refusal counts only after this many seconds.
_BELIEVE_REFUSAL_AFTER = 20.0
_LONGEST_RETRY_AFTER = 5.0


class Outages:
    """Reports each outage once to a listener, whichever call or thread meets the outage."""

    def __init__(self, listener: OutageListener | None = None) -> None:
        self.listener = listener
        self._lock = threading.Lock()
        self._since: float | None = None

    def met(self, why: str) -> None:
        """Note that a call did not reach the API."""
        with self._lock:
            if self._since is not None:
                return
            self._since = time.monotonic()
        self._tell(f"The API server is away ({why}); waiting for it.")

    def over(self) -> None:
        """Note that a call was answered."""
        with self._lock:
            if self._since is None:
                return
            seconds, self._since = time.monotonic() - self._since, None
        self._tell(f"The API server is back after {seconds:.1f} s.")

    def _tell(self, text: str) -> None:
        if self.listener is not None:
            self.listener(text)


def outlast(
    once: Callable[[float], T],
    *,
    transport: Transport,
    outages: Outages,
    patience: float,
    timeout: float,
    reading_patience: float = 0.0,
) -> T:
    """Return what ``once(timeout)`` returns; try again for ``patience`` seconds while the API is
    away.

    ``reading_patience`` is for how many seconds a call that only reads is tried again after a failure
    that may pass, although the API answers. The error that ends the call has ``retried = True`` if an
    earlier try may have succeeded.
    """
    began = time.monotonic()
    refused_since: float | None = None
    retried = False
    while True:
        try:
            result = once(timeout)
        except ApiError as error:
            now = time.monotonic()
            error.retried = error.retried or retried
            if isinstance(error, (Forbidden, Unauthorized)):
                refused_since = refused_since or now
                away = now - refused_since < _BELIEVE_REFUSAL_AFTER
            else:
                away = isinstance(error, Unreachable) and not isinstance(error, Untrusted)
            limit = patience if away else 0.0
            if _may_pass(error):
                limit = max(limit, reading_patience)
            left = began + limit - now
            if left <= 0 or error.may_have_run:
                if isinstance(error, Unreachable) and limit and not error.may_have_run:
                    _say_how_long(error, limit)
                raise
            retried = retried or error.reason not in _NEVER_ARRIVED
            if isinstance(error, Unreachable):
                refused_since = None
                if patience:
                    outages.met(error.detail or error.reason)
            _pause(error, transport, left)
        else:
            outages.over()
            return result


def _may_pass(error: ApiError) -> bool:
    if isinstance(error, Rejected):  # some servers answer this with a 500
        return False
    return error.status in _PASSING_STATUS or error.reason in _PASSING


_NEVER_ARRIVED = {"refused", "dns", "proxy", "tls", "Forbidden", "Unauthorized"}


def _say_how_long(error: Unreachable, patience: float) -> None:
    error.message = f"{error.message.rstrip('.')}, for {patience:.0f} s now."
    error.args = (error.message,)


def _pause(error: ApiError, transport: Transport, left: float) -> None:
    """Wait until the API answers /version, at most for ``left`` or for the time that it asked for."""
    end = time.monotonic() + left
    if error.retry_after is not None:
        time.sleep(max(0.0, min(error.retry_after, _LONGEST_RETRY_AFTER, left)))
        return
    if error.status == 0:
        # Nothing answered, so the kept connections are useless.
        transport.forget()
    while time.monotonic() < end:
        time.sleep(min(_KNOCK_EVERY, max(0.0, end - time.monotonic())))
        try:
            answer = transport.once("GET", "/version", timeout=_KNOCK_LIMIT, fresh=True)
        except Untrusted:
            return
        except Unreachable:
            continue
        if answer.status < 500 and answer.status != 429:
            return
