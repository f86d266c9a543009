"""The time in which a new version is watched before it stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import ApiError
from kubectl_selfhost.cluster.kinds import LEASES, NODES
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.instance import Instance
from kubectl_selfhost.controlplane.pod.status import is_ready
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.conditions import api_is_ready, instances_on

#: Seconds between two looks.
EVERY = 5.0
#: Seconds for which a look may find something wrong: a lease lasts 15 s, and a slow machine stalls.
PATIENCE = 60.0
#: Seconds after which a lease without a renewal has no holder (client-go's default is 15).
_LEASE_LASTS = 15.0


class Soak:
    """Watches ``components`` on ``nodes`` (names), and that no node of the cluster gets not Ready."""

    def __init__(
        self,
        cluster: Cluster,
        components: Sequence[tuple[Component, str]],
        *,
        tell: Callable[[str], None],
    ) -> None:
        """``components`` are pairs: a component as its group of nodes has it, and a node."""
        self._cluster = cluster
        self._components = components
        self._tell = tell
        self._restarts: dict[str, int] = {}
        self._nodes: set[str] = set()
        #: By lease: its last renewal, and when this run first saw that renewal.
        self._renewals: dict[str, tuple[str, float]] = {}

    def watch(self, seconds: float) -> None:
        """Look for ``seconds``, and at least once. Raise SelfhostError with what is wrong."""
        self._nodes = {name for name, ready in self._ready_nodes().items() if ready}
        end = time.monotonic() + seconds
        wrong_since = 0.0
        while True:
            wrong = next(self._wrong(), "")
            now = time.monotonic()
            if not wrong:
                wrong_since = 0.0
                if now >= end:
                    return
                self._tell(f"{end - now:.0f} s are left, and nothing is wrong")
            else:
                wrong_since = wrong_since or now
                if now - wrong_since >= PATIENCE:
                    raise SelfhostError(
                        f"The new version did not hold: for {now - wrong_since:.0f} s {wrong}.",
                        _AFTER,
                    )
                self._tell(wrong)
            time.sleep(min(EVERY, max(0.5, end - now)))

    def _wrong(self) -> Iterator[str]:
        """Yield what is wrong at this moment. Raise SelfhostError for a restart: it does not pass."""
        try:
            api_is_ready(self._cluster)
            for component, node in self._components:
                yield from self._wrong_instances(component, node)
            for component in dict.fromkeys(component for component, _ in self._components):
                yield from self._wrong_lease(component)
            ready = self._ready_nodes()
        except Waiting as reason:
            yield str(reason)
            return
        except ApiError as error:
            yield f"the API does not answer: {(error.detail or error.message).rstrip('.')}"
            return
        for name in sorted(self._nodes):
            if not ready.get(name, True):
                yield f"node {name} is not Ready"

    def _wrong_instances(self, component: Component, node: str) -> Iterator[str]:
        found = instances_on(self._cluster, component, node)
        for one in found:
            before = self._restarts.setdefault(one.uid, one.restarts)
            if one.restarts > before:
                raise SelfhostError(
                    f"The new version did not hold: {component} on {node} has restarted"
                    f"{_last_words(one)}.",
                    _AFTER,
                )
        if not any(one.ready for one in found):
            reasons = ", ".join(one.reason or one.phase for one in found) or "no pod"
            yield f"{component} on {node} is not Ready ({reasons})"

    def _wrong_lease(self, component: Component) -> Iterator[str]:
        if component.lease is None:
            return
        found = self._cluster.find(LEASES, component.lease, component.lease_namespace) or {}
        renewal = str((found.get("spec") or {}).get("renewTime", ""))
        now = time.monotonic()
        last, since = self._renewals.get(component.lease, ("", now))
        if renewal != last:
            since = now
        self._renewals[component.lease] = renewal, since
        if now - since > _LEASE_LASTS:
            yield f"nobody renews the lease {component.lease}"

    def _ready_nodes(self) -> dict[str, bool]:
        nodes = self._cluster.list(NODES)
        return {node["metadata"]["name"]: is_ready(node) for node in nodes}


def _last_words(instance: Instance) -> str:
    return f" ({instance.last_exit})" if instance.last_exit else ""


_AFTER = "Find the cause in its logs, then run the command again."
