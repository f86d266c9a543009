"""One run at a time: a Lease in kube-system that a run holds, renews and gives back.

As in client-go's leader election, nobody's clock but our own is believed: another holder counts as
alive as long as we see its renewTime change, and as dead once it hasn't for the lease's duration.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kubectl_selfhost.cluster.errors import AlreadyExists, ApiError, Conflict, harmless
from kubectl_selfhost.cluster.kinds import LEASES
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import LEASE, NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

DURATION = 15
RENEW_EVERY = 4.0
_LOOK_EVERY = 0.5
_SLOW = 1.0
_RETRY_EVERY = 1.0


class LeaseHeld(SelfhostError):
    """Another run is going on: ``holder`` holds the lease ``since`` (text, as in the lease)."""

    def __init__(self, holder: str, since: str) -> None:
        super().__init__(
            f"Another run of kubectl selfhost is going on: {holder}, since {since}.",
            "Wait until it has ended. A run that was killed is noticed by itself, in 15 s.",
        )
        self.holder = holder
        self.since = since


class LeaseLost(SelfhostError):
    """We held the lease, and somebody else holds it now."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"Another run of kubectl selfhost took over: {holder or 'somebody'} holds the lease "
            f"{NAMESPACE}/{LEASE} now.",
            "This run stops here. Look at kubectl selfhost status, and run it again later.",
        )
        self.holder = holder


class RunLease:
    """The lease of a run, as a context manager: held inside the block.

    ``identity`` names the run to others (who, on which machine, something unique). ``note`` is told
    of renewals that fail, which an API that changes hands makes them do: that alone loses nothing.
    ``waiting`` is told why it takes a while to begin. ``check()`` raises LeaseLost.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        identity: str,
        note: Callable[[str], None] | None = None,
        waiting: Callable[[str], None] | None = None,
        duration: int = DURATION,
        renew_every: float = RENEW_EVERY,
    ) -> None:
        # A renewal that waits out an outage inside the call would come too late to tell anything.
        self._cluster = cluster.with_patience(0.0)
        self._patient = cluster
        self.identity = identity
        self._note = note or (lambda _: None)
        self._waiting = waiting or (lambda _: None)
        self._duration = duration
        self._renew_every = renew_every
        self._lease: dict[str, Any] = {}
        self._stop = threading.Event()
        self._lost: LeaseLost | None = None
        self._thread: threading.Thread | None = None
        #: Has the lease deleted at the end: nothing is left that another run could work on.
        self.discard = False
        #: Whether there was no such object before this run.
        self.is_new = False

    @property
    def lost(self) -> bool:
        """True once another run has been seen to hold the lease."""
        return self._lost is not None

    def check(self) -> None:
        """Raises LeaseLost if another run holds the lease by now. Asks nobody; costs nothing."""
        if self._lost is not None:
            raise self._lost

    def __enter__(self) -> RunLease:
        self._acquire()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=self._duration)
        if not self.lost:
            self._release()

    def _acquire(self) -> None:
        seen: tuple[Any, Any] | None = None
        since = time.monotonic()
        while True:
            asked = time.monotonic()
            lease = self._patient.find(LEASES, LEASE, NAMESPACE)
            if time.monotonic() - asked > _SLOW:
                # The API was away: the holder could not renew its lease either.
                since = time.monotonic()
            holder, spec = _holder(lease), (lease or {}).get("spec") or {}
            if lease is None or not holder or holder == self.identity:
                if self._take(lease):
                    self.is_new = lease is None
                    return
                continue
            now = holder, spec.get("renewTime")
            if seen is not None and now != seen:
                raise LeaseHeld(harmless(holder), harmless(str(spec.get("acquireTime"))))
            seen = now
            limit = float(spec.get("leaseDurationSeconds") or self._duration)
            if time.monotonic() - since >= limit:
                if self._take(lease):
                    return
                seen, since = None, time.monotonic()
                continue
            self._waiting(
                f"a run by {harmless(holder)} left its lease; it counts as dead if it does not "
                f"renew it for {limit:.0f} s"
            )
            time.sleep(_LOOK_EVERY)

    def _take(self, lease: dict[str, Any] | None) -> bool:
        """Makes the lease ours; False if somebody was quicker."""
        spec = (lease or {}).get("spec") or {}
        now = _now()
        ours = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (lease is not None),
        }
        wanted = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": LEASE, "namespace": NAMESPACE},
            **(lease or {}),
            "spec": ours,
        }
        try:
            if lease is None:
                self._lease = self._patient.create(LEASES, wanted)
            else:
                self._lease = self._patient.replace(LEASES, wanted)
        except (AlreadyExists, Conflict):
            return False
        # create gives back what is there if it was made by an earlier try; or by another run.
        return _holder(self._lease) == self.identity

    def _renew(self) -> None:
        pause, failing = self._renew_every, False
        while not self._stop.wait(pause):
            try:
                self._renew_once()
            except Exception as error:  # a thread that ends would let another run begin
                if not failing:
                    self._note(f"the lease could not be renewed for now: {error}")
                pause, failing = _RETRY_EVERY, True
                continue
            if self.lost:
                return
            if failing:
                self._note("the lease is renewed again")
            pause, failing = self._renew_every, False

    def _renew_once(self) -> None:
        self._lease["spec"]["renewTime"] = _now()
        try:
            self._lease = self._cluster.replace(LEASES, self._lease)
            return
        except Conflict:
            current = self._cluster.find(LEASES, LEASE, NAMESPACE)
        except ApiError as error:
            if error.status != 404:
                raise
            current = None
        if current is None:
            # Somebody deleted it, which is no other run. Made anew, or found taken next time.
            self._take(None)
        elif _holder(current) == self.identity:
            self._lease = current
        else:
            self._lost = LeaseLost(harmless(_holder(current)))

    def _release(self) -> None:
        """Gives the lease back. If that fails, others wait out its duration: nothing worse."""
        for _ in range(2):
            try:
                current = self._cluster.find(LEASES, LEASE, NAMESPACE)
                if current is not None and _holder(current) == self.identity:
                    if self.discard:
                        self._cluster.delete(LEASES, LEASE, NAMESPACE)
                        return
                    current["spec"].update(holderIdentity="", renewTime=_now())
                    self._cluster.replace(LEASES, current)
                return
            except Conflict:
                continue
            except SelfhostError as error:
                self._note(f"the lease could not be given back: {error.message}")
                return


def _holder(lease: dict[str, Any] | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _now() -> str:
    """The time in the API's MicroTime form."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
