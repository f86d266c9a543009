"""The errors of the Lease: another run holds it, or this run has lost it."""

from __future__ import annotations

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import LEASE, NAMESPACE

#: Seconds without a renewal after which a holder must not act; client-go's default.
RENEW_DEADLINE = 10.0


class LeaseHeld(SelfhostError):
    """Another run is in progress: ``holder`` holds the lease ``since`` (text, as in the lease)."""

    def __init__(self, holder: str, since: str) -> None:
        super().__init__(
            f"Another run of kubectl selfhost is in progress: {holder}, since {since}.",
            "Wait until that run has ended, then run the command again. If that run was killed, its "
            "lease expires after 15 s.",
        )
        self.holder = holder
        self.since = since


class LeaseLost(SelfhostError):
    """This run held the lease, and may no longer act.

    ``holder`` is the present holder of the lease, if known. Without another holder, ``why`` is the
    reason for which this run could not renew the lease.
    """

    def __init__(self, holder: str = "", *, why: str = "") -> None:
        if why:
            message = (
                f"The lease {NAMESPACE}/{LEASE} could not be renewed for {RENEW_DEADLINE:.0f} s, so "
                f"another run may begin: {why}"
            )
        elif holder:
            message = (
                f"Another run of kubectl selfhost took over: {holder} holds the lease "
                f"{NAMESPACE}/{LEASE} now."
            )
        else:
            message = (
                f"Another run of kubectl selfhost held the lease {NAMESPACE}/{LEASE} meanwhile; "
                "nobody holds the lease now."
            )
        super().__init__(
            message,
            "This run stopped, and undid nothing: the node agent itself completes or undoes its last "
            "order. When `kubectl selfhost status` shows no other run in progress, run the command "
            "again.",
        )
        self.holder = holder
