"""Run a command in a container over a websocket, and get its exit code.

The protocol is Kubernetes' own: the first byte of a message is a channel (0 stdin, 1 stdout, 2
stderr, 3 a Status with the exit code). The sub-protocol is v5.channel.k8s.io or v4, which all servers
since 1.20 speak. v4 can't close stdin, so a command itself must know where its input ends.

A command reads its orders from stdin: the command's words are in the URL, which audit logs keep and
proxies cut off. The websocket comes from the package websocket-client. The kubernetes package's own
exec client has three faults: it sends no Impersonate headers, it waits on the socket for bytes that
TLS has already read, and without an exit code it fails with a TypeError
(kubernetes-client/python#2156).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from kubectl_selfhost.cluster.connection.dial import dial
from kubectl_selfhost.cluster.connection.failures import as_unreachable
from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import ApiError, Unreachable, from_response
from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.harmless import harmless

_PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"]
_STDIN, _STDOUT, _STDERR, _STATUS = 0, 1, 2, 3
#: Bytes of stdin in one message, as client-go sends them.
_PIECE = 32 * 1024
#: No answer of the agent is near this size. A command that never stops writing must not fill the memory.
_LARGEST_OUTPUT = 64 * 1024 * 1024


@dataclass(frozen=True)
class ExecResult:
    """The end of a command. The output is unchanged: make it ``harmless`` before you show it."""

    exit_code: int
    stdout: str
    stderr: str


def run_in_container(
    transport: Transport,
    *,
    pod: str,
    container: str,
    command: Sequence[str],
    stdin: bytes,
    namespace: str,
    action: str,
    timeout: float,
    may_send: Callable[[], None],
) -> ExecResult:
    """Run ``command`` with ``stdin``, and wait for its end for at most ``timeout`` seconds.

    ``may_send`` is called when the connection is open, before each piece of ``stdin``. It may raise
    to prevent the sending: to open the connection takes several round trips, and this process may
    have been frozen during any of them.

    Raise NotFound, Forbidden and so on if the command did not start. Raise Unreachable with
    ``may_have_run`` if the command may have started and its end was not seen. Raise ApiError if the
    container has no such program.
    """
    deadline = time.monotonic() + timeout
    query = [("container", container), ("stdout", "1"), ("stderr", "1")]
    query += [("stdin", "1")] if stdin else []
    query += [("command", word) for word in command]
    path = f"{PODS.path(pod, namespace)}/exec"
    socket = _open(transport, path, urlencode(query), action, deadline)
    try:
        _feed(socket, stdin, deadline, may_send)
        output = _collect(socket, deadline)
        if not output[_STATUS]:
            raise ConnectionResetError
    except (OSError, ValueError, *_library_errors()) as error:
        lost = _lost(error, transport, f"{harmless(command[0])} in {namespace}/{pod}")
        raise lost from error
    finally:
        if socket.sock is not None:  # not its shutdown(), which leaves TLS inside TLS open
            socket.sock.close()
    stdout, stderr = (output[channel].decode("utf-8", "replace") for channel in (_STDOUT, _STDERR))
    return ExecResult(_exit_code(json.loads(output[_STATUS]), command), stdout, stderr)


def _open(transport: Transport, path: str, query: str, action: str, deadline: float) -> Any:
    from websocket import WebSocketBadStatusException

    for attempt in (1, 2):
        generation, began = transport.login.generation, time.monotonic()
        try:
            socket = _connect(transport, f"{path}?{query}", deadline - began)
            status = 101
        except WebSocketBadStatusException as error:
            status, body = error.status_code, error.resp_body or b""
        except (OSError, ValueError, HTTPException, *_library_errors()) as error:
            raise as_unreachable(
                error, server=transport.server, proxy=transport.login.configuration.proxy
            ) from error
        # The query is left out: a command line may hold a secret.
        transport.note("GET", path, str(status), time.monotonic() - began)
        if status == 101:
            return socket
        if not (status == 401 and attempt == 1 and transport.login.renew(generation)):
            break
    raise from_response(action=action, server=transport.server, status=status, body=body)


def _connect(transport: Transport, path: str, timeout: float) -> Any:
    from websocket import WebSocket

    timeout = max(0.01, timeout)
    stream = dial(transport.server, transport.login, timeout=timeout)
    socket: Any = WebSocket(skip_utf8_validation=True)
    try:
        socket.connect(
            transport.server.replace("http", "ws", 1) + path,
            header=[f"{name}: {value}" for name, value in transport.headers()],
            subprotocols=_PROTOCOLS,
            suppress_origin=True,
            timeout=timeout,
            redirect_limit=0,
            socket=stream,
        )
    except BaseException:
        stream.close()
        raise
    return socket


def _feed(socket: Any, stdin: bytes, deadline: float, may_send: Callable[[], None]) -> None:
    """Send ``stdin``. If the server accepts no more, stop: its answer may give the reason."""
    from websocket import ABNF, WebSocketConnectionClosedException

    for start in range(0, len(stdin), _PIECE):
        socket.settimeout(max(0.01, deadline - time.monotonic()))
        message = bytes([_STDIN]) + stdin[start : start + _PIECE]
        may_send()
        try:
            socket.send(message, ABNF.OPCODE_BINARY)
        except (ConnectionError, WebSocketConnectionClosedException):
            return


def _collect(socket: Any, deadline: float) -> dict[int, bytes]:
    """Return the data of each channel, read to the stream's end: the Status may come before output."""
    from websocket import ABNF, WebSocketConnectionClosedException

    output = {_STDOUT: bytearray(), _STDERR: bytearray(), _STATUS: bytearray()}
    while sum(map(len, output.values())) < _LARGEST_OUTPUT:
        socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            opcode, data = socket.recv_data()
        except WebSocketConnectionClosedException:
            break
        if opcode == ABNF.OPCODE_CLOSE:
            break
        if data and data[0] in output:
            output[data[0]] += data[1:]
    return {channel: bytes(data) for channel, data in output.items()}


def _lost(error: Exception, transport: Transport, what: str) -> Unreachable:
    failure = as_unreachable(error, server=transport.server)
    lost = Unreachable(
        f"The command {what} started, but its end was not seen ({failure.detail}).",
        reason=failure.reason,
        detail=failure.detail,
    )
    lost.may_have_run = True
    return lost


def _exit_code(status: dict[str, Any], command: Sequence[str]) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    said = harmless(str(status.get("message") or "no reason given"))
    raise ApiError(
        f"The command {harmless(command[0])} could not be run in the container: {said}.",
        status=int(status.get("code") or 0),
        reason=str(status.get("reason") or ""),
        detail=said,
    )


def _library_errors() -> tuple[type[Exception], type[Exception]]:
    from urllib3.exceptions import HTTPError
    from websocket import WebSocketException

    return HTTPError, WebSocketException
