"""The certificates on the nodes, as the last run that read them has written them into the journal.

To read a node's files takes a privileged pod, and a person who only looks should not need one. So
this module reads the journal, and each certificate has the time at which a run read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kubectl_selfhost.controlplane.credentials import CREDENTIALS
from kubectl_selfhost.controlplane.instance import parse_time
from kubectl_selfhost.engine.journal import mapping
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.notices import (
    EXPIRY_FAILURE,
    EXPIRY_WARNING,
    RENEW,
    TO_SECRETS,
)
from kubectl_selfhost.health.verdict import Survey

LOOK = "kubectl selfhost credentials status --on-nodes"


@dataclass(frozen=True)
class Known:
    """A certificate on a node, and when it was seen.

    ``in_use``: who uses it has this one; None if nobody can tell. ``in_secret``: who uses it reads it
    from a Secret, and not from the node's file that was seen.
    """

    node: str
    name: str
    used_by: str
    not_after: datetime
    seen: datetime
    serial: str = ""
    sha256: str = ""
    in_use: bool | None = None
    in_secret: bool = False


@dataclass(frozen=True)
class Credentials:
    """All that is known, at a time of this machine's clock. ``unseen`` are the nodes of which
    nothing is known.
    """

    known: list[Known]
    certificates: list[Expiry]
    taken: datetime
    unseen: list[str] = field(default_factory=list)
    hosted: bool = False

    def ending(self, limit: timedelta) -> list[Known]:
        """Return the certificates that end within ``limit``, or have ended."""
        return [one for one in self.known if one.not_after - self.taken < limit]

    @property
    def unused(self) -> list[Known]:
        """Return the certificates of which a former one is in use."""
        return [one for one in self.known if one.in_use is False]

    @property
    def healthy(self) -> bool:
        """Return whether each certificate is valid for long enough and in use. A run can look only
        at the nodes of a self-hosted control plane.
        """
        ends = [one.not_after for one in self.certificates if not one.node]
        late = any(end - self.taken < EXPIRY_FAILURE for end in ends)
        unseen = self.hosted and self.unseen
        return not (late or unseen or self.unused or self.ending(EXPIRY_FAILURE))

    @property
    def next(self) -> str:
        """Return the command to run next, empty if there is none."""
        if not self.hosted:
            return ""
        if any(one.in_secret for one in self.unused):
            return TO_SECRETS
        if self.ending(EXPIRY_WARNING) or self.unused:
            return RENEW
        return LOOK if self.unseen else ""


def credentials(survey: Survey) -> Credentials:
    """Return what is known of the certificates of the control plane in ``survey``."""
    seen = survey.control_plane
    names = [node.name for node in seen.running]
    stored = {one.component for one in seen.daemonsets.values() if one.in_secrets}
    known = [
        replace(one, in_secret=one.used_by in stored) for one in from_journal(seen.journal, names)
    ]
    there = {one.node for one in known}
    return Credentials(
        known=known,
        certificates=[one for one in survey.certificates if not one.node],
        taken=survey.taken,
        unseen=[name for name in names if name not in there],
        hosted=any(node.pivoted for node in seen.nodes),
    )


def from_journal(journal: Mapping[str, Any], nodes: Iterable[str]) -> list[Known]:
    """Return the certificates of the ``nodes``; leave out what makes no sense."""
    kept = mapping(journal.get("credentials"))
    found = []
    for node in nodes:
        of_node = mapping(kept.get(node))
        seen, listed = parse_time(of_node.get("seen")), mapping(of_node.get("certificates"))
        for one in CREDENTIALS if seen else ():
            facts = mapping(listed.get(one.name))
            end, in_use = parse_time(facts.get("notAfter")), facts.get("inUse")
            if end is not None and seen is not None:
                found.append(
                    Known(
                        node=node,
                        name=one.name,
                        used_by=one.used_by,
                        not_after=end,
                        seen=seen,
                        serial=str(facts.get("serial", "")),
                        sha256=str(facts.get("sha256", "")),
                        in_use=in_use if isinstance(in_use, bool) else None,
                    )
                )
    return found
