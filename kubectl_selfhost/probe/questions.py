"""The requests of each kind of probe, and what their answers show."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from kubectl_selfhost.cluster.connection.transport import Answer, Transport
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, ENDPOINTSLICES
from kubectl_selfhost.names import FIELD_MANAGER, NAMESPACE, PROBE_LABELS
from kubectl_selfhost.probe.sightings import ENDPOINTS, READ
from kubectl_selfhost.probe.watching import BEAT

#: A ConfigMap that each namespace has since Kubernetes 1.20. The request passes authentication and
#: authorization, and reads from the store, not from a cache. A 404 shows the same.
STORED = CONFIGMAPS.path("kube-root-ca.crt", NAMESPACE)
#: The path to read if the ConfigMap is forbidden: it needs authentication, and everybody may read it.
FOR_ALL = "/version"
_SLICES = (
    ENDPOINTSLICES.path(None, "default")
    + "?"
    + urlencode({"labelSelector": "kubernetes.io/service-name=kubernetes"})
)


class Question:
    """The requests of a kind of probe, over ``transport``'s kept connection.

    A read reads ``path``; a write writes the ConfigMap ``name``. ``may_write`` is called before
    each write, and raises SelfhostError to prevent it.
    """

    def __init__(
        self,
        transport: Transport,
        kind: str,
        *,
        path: str,
        name: str,
        may_write: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._may_write = may_write
        self._name = name
        self._path = {READ: path, ENDPOINTS: _SLICES}.get(kind, "")

    def __call__(self, number: int, timeout: float) -> Answer:
        if self._path:
            return self._transport.once("GET", self._path, timeout=timeout)
        return self._write(number, timeout)

    def _write(self, number: int, timeout: float) -> Answer:
        """Write with a server-side apply, which also creates a missing ConfigMap."""
        self._may_write()
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "namespace": NAMESPACE, "labels": PROBE_LABELS},
            "data": {BEAT: str(number)},
        }
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": "true"})
        return self._transport.once(
            "PATCH",
            f"{CONFIGMAPS.path(self._name, NAMESPACE)}?{query}",
            headers=[("Content-Type", "application/apply-patch+yaml")],
            body=json.dumps(manifest).encode(),
            timeout=timeout,
        )


class Endpoints:
    """How long no EndpointSlice of the Service had a ready address.

    The time begins with the first answer without a ready address, and ends with the next answer that
    has a ready address. A request without an answer changes nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._empty_since: float | None = None
        self._seconds = 0.0

    def seen(self, answer: Answer) -> None:
        now = time.monotonic()
        empty = not _has_ready_address(answer.body)
        with self._lock:
            if empty and self._empty_since is None:
                self._empty_since = now
            elif not empty and self._empty_since is not None:
                self._seconds += now - self._empty_since
                self._empty_since = None

    def seconds(self, now: float) -> float:
        with self._lock:
            still = 0.0 if self._empty_since is None else max(0.0, now - self._empty_since)
            return self._seconds + still


def _has_ready_address(body: bytes) -> bool:
    try:
        slices = json.loads(body).get("items") or []
    except (ValueError, AttributeError):
        return True  # no list: the answer says nothing about addresses
    return any(
        endpoint.get("addresses") and (endpoint.get("conditions") or {}).get("ready") is not False
        for one in slices
        for endpoint in one.get("endpoints") or []
    )
