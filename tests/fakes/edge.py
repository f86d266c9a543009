"""The edge of a fake API server: what a client sends, what it gets back, and which faults it meets.

``Edge`` replaces the real client's Transport, and the way in which the client runs commands in
containers. Every process that talks to the API gets an Edge of its own: a test can kill or freeze
one process while the others go on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fakes.memory import Told
from fakes.store import BY_PLURAL, Object, Refusal
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.exec import ExecResult
from kubectl_selfhost.cluster.connection.transport import Answer
from kubectl_selfhost.cluster.errors import Unreachable, from_response

if TYPE_CHECKING:
    from fakes.world import World

#: One lock for all edges: a plan looks at several things at a time.
LOCK = threading.RLock()
_LOOKS = ("status", "list", "can-share", "certificates", "holds", "sets", "hello", "seal")
SERVER = "https://192.0.2.1:6443"


class Killed(BaseException):
    """The process that made this call was killed: nothing that it does has an effect any more."""


@dataclass(frozen=True)
class Call:
    """A request, or an order to an agent (then ``order`` is its name, ``fields`` what it says)."""

    client: str
    method: str
    path: str
    body: Any = None
    order: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def changes(self) -> bool:
        """Return whether the call is meant to change something."""
        if self.order:
            return self.order not in _LOOKS and "version" not in self.fields.get("words", ())
        if self.dry_run or self.path.endswith("selfsubjectaccessreviews"):
            return False
        return self.method not in ("GET", "EXEC")

    def __str__(self) -> str:
        return (
            f"order {self.order} {self.fields.get('component', '')}"
            if self.order
            else (f"{self.method} {self.path}")
        )


@dataclass
class Fault:
    """A fault that meets the calls for which ``meant`` is true, ``times`` times.

    ``how``: "refused", "timeout" or "cut" (nothing happened), "lost" (it happened, and the answer
    didn't come), "killed" and "killed-after" (the caller is killed before or after the effect), an
    HTTP status ("503"), or an exception to raise instead (KeyboardInterrupt() is Ctrl-C). ``skip``:
    how many such calls pass first. ``met`` counts how often the fault happened.
    """

    meant: Callable[[Call], bool]
    how: str | BaseException
    times: int = 1
    skip: int = 0
    met: int = 0

    def meets(self, call: Call) -> bool:
        if self.met >= self.times or not self.meant(call):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.met += 1
        return True


class Edge:
    """A stand-in for a Transport, of one client process."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.server = SERVER
        self.killed = False
        configuration = SimpleNamespace(proxy=None, host=SERVER)
        self.login = SimpleNamespace(certificate=b"", configuration=configuration, generation=0)

    def cluster(self, *, patience: float = 0.0) -> Cluster:
        """Return the real client, on this edge."""
        return Cluster(self, patience=patience)  # type: ignore[arg-type]

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
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        content = json.loads(body) if body else None
        dry = query.get("dryRun") == "All"
        call = Call(self.name, method, parts.path, content, dry_run=dry)

        def act() -> Any:
            return _Request(self.world, call, query, content_type).answer()

        status, content = self._carry(call, act)
        if not isinstance(content, Told):
            content = (content if isinstance(content, str) else json.dumps(content)).encode()
        return Answer(status, {}, content)

    def once(self, method: str, path: str, *, timeout: float = 10.0, **_: Any) -> Answer:
        return self.request(method, path, timeout=timeout)

    def apart(self, server: str = "") -> Edge:
        """Return this edge: each API server of the fake cluster gives the same answers."""
        assert server
        return self

    def forget(self) -> None:
        """Do nothing: no connection is kept."""

    def run(self, pod: str, order: str, fields: dict[str, Any], action: str) -> ExecResult:
        """Give an order to the agent in ``pod``, or run the node's kubeadm there."""
        call = Call(self.name, "EXEC", pod, order=order, fields=fields)

        def act() -> tuple[int, Any]:
            return 101, self.world.order(pod, order, fields)

        status, said = self._carry(call, act)
        if status >= 400:
            raise from_response(
                action=action, server=self.server, status=status, body=json.dumps(said).encode()
            )
        if order == "kubeadm":
            return ExecResult(*said, "")
        return ExecResult(1 if "error" in said else 0, json.dumps(said), "")

    def _carry(self, call: Call, act: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
        with LOCK:
            if self.killed:
                raise Killed
            self.world.tick()
            fault = next((one for one in self.world.faults if one.meets(call)), None)
            how = fault.how if fault else ""
            if isinstance(how, BaseException):
                raise how
            if how == "killed":
                self.killed = True
                raise Killed
            if how in ("refused", "timeout", "cut"):
                raise _unreachable("closed" if how == "cut" else how)
            if how.isdigit():
                return int(how), Refusal(int(how), "", "as the test has it").as_status()
            if not self.world.api_answers():
                raise _unreachable("refused")
            try:
                result = act()
            except Refusal as refusal:
                return refusal.status, refusal.as_status()
            if call.changes:
                self.world.note_change(call)
            self.world.tick()
            if how == "killed-after":
                self.killed = True
                raise Killed
            if how == "lost":
                error = _unreachable("timeout")
                error.may_have_run = bool(call.order)
                raise error
            return result


def _unreachable(reason: str) -> Unreachable:
    return Unreachable(f"The API server does not answer: {reason}.", reason=reason, detail=reason)


class _Request:
    """One request, in the terms of the store."""

    def __init__(self, world: World, call: Call, query: dict[str, str], content_type: str) -> None:
        self._world, self._call, self._query = world, call, query
        self._content_type = content_type

    def answer(self) -> tuple[int, Any]:
        path = self._call.path
        if path in self._world.paths:
            return 200, self._world.paths[path]()
        if path == "/version":
            return 200, self._world.version()
        if path.startswith("/api/v1/nodes/") and path.endswith("/proxy/configz"):
            return 200, self._world.configz(path.split("/")[4])
        place = _place(path)
        if place is None:
            raise Refusal(404, "NotFound", f"the server could not find {path}")
        return self._of_objects(*place)

    def _of_objects(self, plural: str, namespace: str, name: str) -> tuple[int, Any]:
        store, query, body = self._world.store, self._query, self._call.body
        dry = self._call.dry_run
        if plural == "selfsubjectaccessreviews":
            return 201, {"status": {"allowed": self._world.allows(body["spec"])}}
        if plural == "pods" and name.endswith("/log"):
            pod = name.removesuffix("/log")
            return 200, self._world.registry.logs.get((pod, query.get("container", "")), "")
        method = self._call.method
        if method == "GET" and name:
            return self._one(200, store.get(plural, name, namespace))
        if method == "GET":
            found = store.list(
                plural,
                namespace,
                labels=query.get("labelSelector", ""),
                fields=query.get("fieldSelector", ""),
            )
            return 200, Told.of([store.frozen(one) for one in found])
        if method == "POST":
            self._world.admit(plural, body)
            return self._one(201, store.create(plural, body, dry_run=dry))
        if method == "PUT":
            return self._one(200, store.replace(plural, body, dry_run=dry))
        if method == "PATCH" and "apply-patch" in self._content_type:
            self._world.admit(plural, body)
            return self._one(200, store.apply(plural, body, dry_run=dry))
        if method == "PATCH":
            return self._one(200, store.merge(plural, name, body, namespace))
        if method == "DELETE":
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            store.delete(plural, name, namespace, uid=uid)
            return 200, {"kind": "Status", "status": "Success"}
        raise Refusal(405, "MethodNotAllowed", f"{method} {self._call.path}")

    def _one(self, status: int, one: Object) -> tuple[int, Told]:
        return status, Told.of([self._world.store.frozen(one)], one=True)


def _place(path: str) -> tuple[str, str, str] | None:
    """Return plural, namespace and name of ``/api/v1/...`` and ``/apis/GROUP/VERSION/...``."""
    words = [unquote(word) for word in path.strip("/").split("/")]
    rest = words[2:] if words[0] == "api" else words[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest or rest[0] not in BY_PLURAL:
        return None
    return rest[0], namespace, "/".join(rest[1:])
