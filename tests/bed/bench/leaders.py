"""How long nobody led: the leases and the processes of the controller-manager and the scheduler,
read ten times a second.

Leaderless is the time from the end of the old holder to the moment when the new holder acquired the
lease, as the lease says. The old holder ends when its process was last seen, or with its last
renewal, or when it gave the lease back, whichever is later. A process that ends after the old holder
is the same pod's, started again. The clocks are the nodes', and in a
kind cluster these are this machine's; so are the processes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bed.command import output
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import LEASES
from kubectl_selfhost.controlplane.component import CONTROLLER_MANAGER, SCHEDULER
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

if TYPE_CHECKING:
    from types import TracebackType

EVERY = 0.1  # seconds between two looks
ANSWER = 1.0  # seconds for each answer
LEASE = 15.0  # seconds without a renewal after which a holder counts as dead (kubeadm's default)
COMM = 15  # what the kernel keeps of a process's name
COMPONENTS = (CONTROLLER_MANAGER.name, SCHEDULER.name)


@dataclass(frozen=True)
class Sighting:
    """A lease as it was seen: who holds it (empty: nobody), since when, renewed when (epoch)."""

    holder: str
    acquired: float
    renewed: float


def leaderless(sightings: Sequence[Sighting], until: float, ends: Sequence[float] = ()) -> float:
    """Return for how many seconds nobody led, by all that was seen of a lease up to ``until``
    (epoch).

    ``ends`` are the times at which the component's processes that are gone were last seen (epoch).
    """
    total, holder, last = 0.0, "", 0.0
    for seen in sightings:
        if seen.holder and holder and seen.holder != holder:
            # The first process that ended after the last renewal is the old holder.
            led = min((end for end in ends if last <= end <= seen.acquired), default=last)
            total += max(0.0, seen.acquired - led)
        if seen.holder:
            holder = seen.holder
        last = max(last, seen.renewed)
    if sightings and (not sightings[-1].holder or until - last > LEASE):
        total += max(0.0, until - last)
    return total


class Leaders:
    """A reader of the leases and processes, from ``__enter__`` to ``__exit__``."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        """Prepare the reader; ``node`` is the container of the only control-plane node."""
        self._processes = Processes(node)
        self._cluster = Cluster(cluster.transport.apart(), timeout=ANSWER)
        self._sightings: dict[str, list[Sighting]] = {name: [] for name in COMPONENTS}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leaders", daemon=True)
        self._until = 0.0

    def __enter__(self) -> Leaders:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(2 * ANSWER)
        self._until = time.time()

    def wait(self, *, limit: float) -> bool:
        """Wait until all have a leader that renews its lease from now on; return False after
        ``limit`` s.
        """
        began = time.time()
        while time.time() - began < limit:
            latest = [seen[-1] for seen in self._sightings.values() if seen]
            if len(latest) == len(COMPONENTS) and all(
                seen.holder and seen.renewed > began for seen in latest
            ):
                return True
            time.sleep(EVERY)
        return False

    def seconds(self) -> dict[str, float]:
        """Return by component for how long nobody led."""
        until = self._until or time.time()
        return {
            name: leaderless(seen, until, self._processes.ends(name))
            for name, seen in self._sightings.items()
        }

    def changes(self) -> dict[str, int]:
        """Return by component how often another process became the leader."""
        found = {}
        for name, seen in self._sightings.items():
            holders = [one.holder for one in seen if one.holder]
            found[name] = sum(a != b for a, b in pairwise(holders))
        return found

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._stop.wait(max(0.0, began + number * EVERY - time.monotonic())):
            self._look()
            number = max(number + 1, int((time.monotonic() - began) / EVERY))

    def _look(self) -> None:
        self._processes.look()
        try:
            leases = self._cluster.list(LEASES, NAMESPACE)
        except SelfhostError:
            return  # the API is away: a lease can't change meanwhile
        for lease in leases:
            seen = self._sightings.get(lease["metadata"]["name"])
            if seen is None:
                continue
            now = _sighting(lease.get("spec") or {})
            if not seen or seen[-1] != now:
                seen.append(now)


class Processes:
    """The times at which each process of the components was last seen on a node of this machine."""

    def __init__(self, node: str) -> None:
        init = output(["docker", "inspect", "--format={{.State.Pid}}", node]).strip()
        # The processes are on the node's network, where no other node's are.
        self._network = os.readlink(f"/proc/{init}/ns/net")
        self._seen: dict[str, dict[str, float]] = {name: {} for name in COMPONENTS}
        self._latest = 0.0

    def look(self) -> None:
        now = time.time()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = folder.joinpath("comm").read_text().strip()
                ours = next((one for one in COMPONENTS if one[:COMM] == name), None)
                if ours and os.readlink(folder / "ns/net") == self._network:
                    self._seen[ours][folder.name] = now
            except OSError:
                continue  # it has just ended
        self._latest = now

    def ends(self, component: str) -> list[float]:
        """Return when the processes that are gone by now were last seen (epoch)."""
        return [last for last in self._seen[component].values() if last < self._latest]


def _sighting(spec: dict) -> Sighting:
    return Sighting(
        spec.get("holderIdentity") or "", _epoch(spec["acquireTime"]), _epoch(spec["renewTime"])
    )


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
