"""One run at a time: a Lease in kube-system that a run holds, renews and releases.

As in client-go's leader election, a run uses only its own clock. Another holder counts as alive while
its renewTime changes, and as dead when it has not changed for the lease's duration. A holder acts only
while its own last renewal is younger than the renew deadline: until then nobody else can take the
lease. The run checks the age of the renewal directly before it acts, and keeps no flag, because a
process can be frozen (SIGSTOP, a closed laptop) between any two instructions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    Unauthorized,
    Unreachable,
)
from kubectl_selfhost.cluster.kinds import LEASES
from kubectl_selfhost.engine.lease_errors import RENEW_DEADLINE, LeaseHeld, LeaseLost
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.harmless import harmless
from kubectl_selfhost.names import LEASE, NAMESPACE

DURATION = 15
RENEW_EVERY = 4.0
#: Seconds for each renewal: a renewal that hangs must leave time for the next one.
_RENEWAL_LIMIT = 4.0
_LOOK_EVERY = 0.5
_SLOW = 1.0
_RETRY_EVERY = 1.0
#: Seconds for which a refusal of a renewal may come from an API server that has just started (see
#: ``patience``).
_BELIEVE_REFUSAL_AFTER = 20.0


def seconds_now() -> float:
    """Return the seconds of a clock that runs while this process is frozen or the machine sleeps.

    Linux' CLOCK_MONOTONIC stops while the machine is suspended, CLOCK_BOOTTIME does not. macOS has no
    CLOCK_BOOTTIME, but its CLOCK_MONOTONIC does not stop.
    """
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class RunLease:
    """The lease of a run, as a context manager: held inside the block.

    ``identity`` names the run to others (the user, the machine, a unique part). ``note`` is called
    when a renewal fails, as it does while the API changes hands: a single failure loses nothing.
    ``waiting`` is called with the reason if the start takes some time. ``check()`` raises LeaseLost;
    call it before any change.
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
        deadline: float = RENEW_DEADLINE,
    ) -> None:
        # A renewal that waits for the end of an outage inside the call comes too late.
        self._cluster = cluster.with_patience(0.0, timeout=_RENEWAL_LIMIT)
        self._patient = cluster
        self.identity = identity
        self._note = note or (lambda _: None)
        self._waiting = waiting or (lambda _: None)
        self._duration = duration
        self._renew_every = renew_every
        self._deadline = deadline
        #: When the last successful renewal was sent.
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._lease: dict[str, Any] = {}
        self._stop = threading.Event()
        self._lost: LeaseLost | None = None
        self._thread: threading.Thread | None = None
        #: Delete the lease at the end: nothing is left for another run.
        self.discard = False
        #: Whether this run created the object.
        self.is_new = False

    @property
    def lost(self) -> bool:
        """Return whether another run has been seen to hold the lease."""
        return self._lost is not None

    def check(self) -> None:
        """Make sure that no other run can hold the lease now; raise LeaseLost otherwise.

        This costs nothing while the last renewal is young enough. Else renew the lease here: the API
        server accepts this only if nobody else has taken the lease. Raise Unreachable while the API
        server doesn't answer: then nothing can be changed anyway.
        """
        if self._lost is None and self._is_fresh():
            return
        with self._lock:
            if self._lost is None and not self._is_fresh():
                self._renew_late()
            if self._lost is not None:
                raise LeaseLost(self._lost.holder)

    def _is_fresh(self) -> bool:
        return seconds_now() - self._renewed < self._deadline

    def _renew_late(self) -> None:
        try:
            self._renew_once()
        except Unreachable:
            raise
        except ApiError as error:
            late = seconds_now() - self._renewed
            refused = isinstance(error, (Forbidden, Unauthorized))
            if refused and late < self._deadline + _BELIEVE_REFUSAL_AFTER:
                raise
            raise LeaseLost(why=error.message) from error

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
                if self._take(self._patient, lease):
                    self.is_new = lease is None
                    return
                continue
            now = holder, spec.get("renewTime")
            if seen is not None and now != seen:
                raise LeaseHeld(harmless(holder), harmless(str(spec.get("acquireTime"))))
            seen = now
            limit = float(spec.get("leaseDurationSeconds") or self._duration)
            if time.monotonic() - since >= limit:
                if self._take(self._patient, lease):
                    return
                seen, since = None, time.monotonic()
                continue
            self._waiting(
                f"the run of {harmless(holder)} holds the lease; if that run does not renew the "
                f"lease for {limit:.0f} s, this run takes it over"
            )
            time.sleep(_LOOK_EVERY)

    def _take(self, cluster: Cluster, lease: dict[str, Any] | None) -> bool:
        """Take the lease for this run; return False if another run was faster."""
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
        sent = seconds_now()
        try:
            if lease is None:
                self._lease = cluster.create(LEASES, wanted)
            else:
                self._lease = cluster.replace(LEASES, wanted)
        except (AlreadyExists, Conflict):
            return False
        # create returns the existing lease if an earlier try, or another run, created it.
        if _holder(self._lease) != self.identity:
            return False
        self._renewed = sent
        return True

    def _renew(self) -> None:
        pause, failing = self._renew_every, False
        while not self._stop.wait(pause):
            try:
                with self._lock:
                    self._renew_once()
            except Exception as error:  # a thread that ends would let another run begin
                if not failing:
                    self._note(f"the lease could not be renewed yet: {error}")
                pause, failing = _RETRY_EVERY, True
                continue
            if self.lost:
                return
            if failing:
                self._note("the lease is renewed again")
            pause, failing = self._renew_every, False

    def _renew_once(self) -> None:
        """Renew the lease, or find out that this run has lost it. Called under the lock."""
        for _ in range(2):
            if self._lost is not None or self._replaced():
                return
            current = self._cluster.find(LEASES, LEASE, NAMESPACE)
            if current is None and self._is_fresh():
                # Somebody deleted the lease; another run would have to wait longer.
                if self._take(self._cluster, None):
                    return
            elif _holder(current) != self.identity:
                self._lost = LeaseLost(harmless(_holder(current)))
            elif current is not None:
                self._lease = current  # another client changed the lease, and nobody took it
        if self._lost is None:
            raise Conflict("The lease keeps changing.", status=409, reason="Conflict")

    def _replaced(self) -> bool:
        sent = seconds_now()
        self._lease["spec"]["renewTime"] = _now()
        try:
            self._lease = self._cluster.replace(LEASES, self._lease)
        except (Conflict, NotFound):
            return False
        self._renewed = sent
        return True

    def _release(self) -> None:
        """Release the lease. If this fails, another run waits for the lease's duration."""
        for _ in range(2):
            try:
                current = self._cluster.find(LEASES, LEASE, NAMESPACE)
                if current is not None and _holder(current) == self.identity:
                    if self.discard and self._is_fresh():
                        self._cluster.delete(
                            LEASES, LEASE, NAMESPACE, uid=current["metadata"].get("uid")
                        )
                        return
                    current["spec"].update(holderIdentity="", renewTime=_now())
                    self._cluster.replace(LEASES, current)
                return
            except Conflict:
                continue
            except SelfhostError as error:
                self._note(f"the lease could not be released: {error.message}")
                return


def _holder(lease: dict[str, Any] | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _now() -> str:
    """Return the time in the API's MicroTime form."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
