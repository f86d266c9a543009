"""The API's error answers, as exceptions with words for a person.

    SelfhostError
      ApiError            any answer that is an error (status, reason, message)
        NotFound          404
        Unauthorized      401
        Forbidden         403, from the authorizer
        Conflict          409, somebody else changed the object
        AlreadyExists     409, an object of this name is there
        Rejected          400, 422, and 403 from admission: the object itself is not accepted
        Unreachable       no answer, or an answer that means "not now"
          Untrusted       the server that answers can't prove its identity
      BadConfig           the kubeconfig (or what it names) can't be used

The exceptions make text from a server ``harmless`` before they show it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.harmless import harmless

_LONGEST_MESSAGE = 2000


class BadConfig(SelfhostError):
    """The kubeconfig, or something that it names, can't be used."""


class ApiError(SelfhostError):
    """The API answered with an error.

    ``status`` is the HTTP status (0: no answer), ``reason`` the API's own word for it (NotFound,
    Forbidden, ...) and ``detail`` what the server said, made harmless. ``retry_after`` is for how
    many seconds the server asks clients to wait, if it asks. ``retried``: an earlier try of the
    same call may have succeeded without an answer. ``may_have_run``: the call was an exec, and must
    not be sent again.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 0,
        reason: str = "",
        detail: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.retried = False
        self.may_have_run = False


class NotFound(ApiError):
    """There is no such object, or no such path."""


class Unauthorized(ApiError):
    """The API server does not accept the credentials."""


class Forbidden(ApiError):
    """The user has not the permission."""


class Conflict(ApiError):
    """Somebody else changed the object since it was read, or owns a field of it."""


class AlreadyExists(ApiError):
    """An object of this name exists."""


class Rejected(ApiError):
    """The API does not accept the object: it is not valid, or an admission plugin or webhook
    refuses it.
    """


class Unreachable(ApiError):
    """Nothing answered, or the answer is "not now".

    ``reason`` is one of refused, reset, closed, timeout, tls, dns, network, proxy, or the API's own
    (ServiceUnavailable, TooManyRequests, ...) when there was an answer.
    """


class Untrusted(Unreachable):
    """TLS failed, and waiting does not help: unknown authority, wrong name, expired certificate."""


def from_response(
    *, action: str, server: str, status: int, body: bytes, retry_after: float | None = None
) -> ApiError:
    """Return the exception for an error answer; ``action`` is the request ("get pods x in y")."""
    said = _status_object(body)
    reason = str(said.get("reason") or _REASONS.get(status, f"HTTP {status}"))
    detail = harmless(str(said.get("message") or body.decode("utf-8", "replace")).strip())
    detail = _failing_checks(detail)[:_LONGEST_MESSAGE] or reason
    make = _class_for(status, reason, detail, from_api=bool(said))
    message, hint = _words(make, action=action, server=server, reason=reason, detail=detail)
    return make(message, hint, status=status, reason=reason, detail=detail, retry_after=retry_after)


def _failing_checks(detail: str) -> str:
    """Return the failing checks in a health check's answer, which lists some 40 checks."""
    failing = _FAILING_CHECK.findall(detail)
    return f"failing checks: {', '.join(failing)}" if failing else detail


#: "[-]etcd failed: reason withheld" (k8s.io/apiserver, healthz.go; Kubernetes 1.20 to 1.37).
_FAILING_CHECK = re.compile(r"^\[-\](\S+) failed\b", re.MULTILINE)

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}

_CLASSES: dict[int, type[ApiError]] = {
    400: Rejected,
    401: Unauthorized,
    404: NotFound,
    422: Rejected,
    429: Unreachable,
    502: Unreachable,
    503: Unreachable,
    504: Unreachable,
}

#: An API server's words in a 500 if its store doesn't answer.
_STORE_DOWN = re.compile(
    r"etcd|rpc error|context deadline exceeded|leader changed|connection refused|timed out"
    r"|transport is closing",
    re.IGNORECASE,
)
#: An authorizer's refusal names the user and the action; a refusal by admission does not.
_AUTHORIZER = re.compile(r'[Uu]ser "[^"]*" (cannot |.*attempting to grant RBAC)', re.DOTALL)
#: For a field that isn't in the schema, server-side apply answers 500 (up to Kubernetes 1.37).
_NO_SCHEMA = "failed to create typed patch object"
NOT_YET_READY = "not yet ready to handle request"


def _class_for(status: int, reason: str, detail: str, *, from_api: bool) -> type[ApiError]:
    if status == 403:
        if NOT_YET_READY in detail:
            return Unreachable
        return Forbidden if _AUTHORIZER.search(detail) or not from_api else Rejected
    if status == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if status >= 500 and (reason in _TRANSIENT or _STORE_DOWN.search(detail)):
        return Unreachable
    if _NO_SCHEMA in detail:
        return Rejected
    return _CLASSES.get(status, ApiError)


_TRANSIENT = {"ServerTimeout", "Timeout", "ServiceUnavailable", "TooManyRequests"}


def _words(
    kind: type[ApiError], *, action: str, server: str, reason: str, detail: str
) -> tuple[str, str]:
    if kind is Forbidden:
        return f"You may not {action}: {detail}", (
            "Ask for the roles in docs/permissions.md, or use another user "
            "(--context, --user, --as)."
        )
    if kind is Unauthorized:
        return f"The API server {server} does not accept your credentials ({detail}).", (
            "Log in again, or choose another user with --context or --user; "
            "a client certificate may have expired."
        )
    if kind is Unreachable:
        return f"The API server {server} could not {action} now: {detail} ({reason}).", (
            "Try again in a moment."
        )
    if kind is NotFound:
        return f"The API server could not {action}: {detail}.", ""
    return f"The API server refused to {action}: {detail} ({reason}).", ""


def _status_object(body: bytes) -> dict[str, Any]:
    """Return the Status that the API sends with an error; empty if a proxy answered."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}
