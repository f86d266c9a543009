"""The warnings of the status page: what may soon become a trouble, and what could not be read.

A notice names the commands that help. The verdict takes its next commands from the notices, so that
a warning and the page's last line can't contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.state import ControlPlane, NodeState
from kubectl_selfhost.names import JOURNAL, NAMESPACE

#: The commands that the status page offers.
PIVOT = "kubectl selfhost pivot"
ROLLOUT = "kubectl selfhost rollout"
SYNC = "kubectl selfhost sync"
WATCH = "kubectl selfhost status --watch"
RENEW = "kubectl selfhost credentials renew"
TO_SECRETS = "kubectl selfhost credentials to-secrets"
UPGRADE = "kubectl selfhost upgrade"

#: A certificate that ends sooner than this gets a warning; sooner than that, nothing is healthy.
EXPIRY_WARNING = timedelta(days=60)
EXPIRY_FAILURE = timedelta(days=14)


@dataclass(frozen=True)
class Notice:
    """A warning: its text, and the commands that help, in their order (none: no command helps).

    ``told``: the page shows the warning elsewhere (in its line on reboots), so the warning gets no
    line of its own.
    """

    text: str
    commands: tuple[str, ...] = ()
    told: bool = False


def notices(
    seen: ControlPlane,
    *,
    certificates: Sequence[Expiry],
    taken: datetime,
    unread: Mapping[str, str],
) -> list[Notice]:
    """Return all notices. While a run is in progress, leave out what the run itself renews."""
    found = _of_certificates(ending(certificates, taken), seen, taken)
    if seen.run_going_on is None:
        found += [one for node in seen.nodes for one in _of_recovery(node)]
        found += _of_programs(seen)
        found += _of_versions(seen)
    if seen.running:
        found += [
            Notice(f"Skipped node {node.name}: it has the control-plane label, but no static pods.")
            for node in seen.nodes
            if node.empty
        ]
    if seen.journal_damaged:
        where = f"ConfigMap {JOURNAL} in {NAMESPACE}"
        found.append(
            Notice(f"The journal ({where}) is damaged. The next run writes a new journal.")
        )
    return found + [Notice(f"Could not read {what}: {why}") for what, why in unread.items()]


def commands(found: Iterable[Notice]) -> list[str]:
    """Return the commands of the notices, each once."""
    return list(dict.fromkeys(command for one in found for command in one.commands))


def ending(certificates: Iterable[Expiry], now: datetime) -> list[Expiry]:
    """Return the certificates that end soon, or have ended."""
    return [one for one in certificates if one.not_after - now < EXPIRY_WARNING]


def _of_certificates(found: Sequence[Expiry], seen: ControlPlane, now: datetime) -> list[Notice]:
    """Return a notice for each certificate that ends, and one for all files of a node."""
    files: dict[str, list[Expiry]] = {}
    for one in found:
        if one.node:
            files.setdefault(one.node, []).append(one)
    return [
        *[_of_certificate(one, seen, now) for one in found if not one.node],
        *[_of_files(node, some, seen, now) for node, some in files.items()],
    ]


def _of_certificate(one: Expiry, seen: ControlPlane, now: datetime) -> Notice:
    return _renewed(f"The certificate of {one.what}: {_when(one, now)}", [one], seen)


def _of_files(node: str, found: Sequence[Expiry], seen: ControlPlane, now: datetime) -> Notice:
    first = min(found, key=lambda one: one.not_after)
    more = f", and {len(found) - 1} more end by then or soon after" if len(found) > 1 else ""
    text = f"The certificate {first.what} on {node}: {_when(first, now)}{more}"
    return _renewed(text, found, seen)


def _when(one: Expiry, now: datetime) -> str:
    left = one.not_after - now
    return "it has expired" if left <= timedelta(0) else f"it expires in {_in_words(left)}"


def _renewed(text: str, found: Sequence[Expiry], seen: ControlPlane) -> Notice:
    names = [one.renew for one in found if one.renew]
    if not names:
        return Notice(f"{text}.")
    if any(node.pivoted for node in seen.nodes):
        return Notice(f"{text}; `{RENEW}` renews it.", (RENEW,))
    renew = f"kubeadm certs renew {names[0] if len(names) == 1 else 'all'}"
    return Notice(f"{text}; on its node: `{renew}`.", (renew,))


def _in_words(left: timedelta) -> str:
    hours = int(left.total_seconds() // 3600)
    return f"{left.days}d" if left.days else f"{hours}h" if hours else "less than an hour"


def _of_recovery(node: NodeState) -> list[Notice]:
    found = [
        Notice(
            f"The recovery copy of {component} on {node.name} differs from the DaemonSet. "
            f"`{SYNC}` updates the copy.",
            (SYNC,),
        )
        for component in node.outdated
    ]
    if node.pivoted and (not node.guardian or node.guardian_differs):
        found.append(Notice(f"`{SYNC}` installs the guardian on {node.name}.", (SYNC,), told=True))
    return found


def _of_programs(seen: ControlPlane) -> list[Notice]:
    return [
        Notice(
            f"The pods of {', '.join(one.daemonsets)} start the node agent's program from the "
            f"{one.reference}. Whoever may write ConfigMaps in {NAMESPACE} can replace that program. "
            f"`{ROLLOUT}` gives the pods this build's program, in a Secret.",
            (ROLLOUT,),
        )
        for one in seen.programs
        if one.former
    ]


def _of_versions(seen: ControlPlane) -> list[Notice]:
    """Return a notice of an upgrade that has not ended, and of kubelets that are older than it."""
    servers = [
        version
        for own in APISERVER.groups_in(seen.daemonsets)
        if (version := Version.of_image(seen.daemonsets[own.daemonset].image))
    ]
    if not servers:
        return []
    newest = max(servers)
    command = f"{UPGRADE} {newest}"
    emulated = {one.emulates for one in seen.daemonsets.values()} - {""}
    if emulated:
        text = (
            f"The control plane behaves as Kubernetes {', '.join(sorted(emulated))}: an upgrade has"
        )
        return [Notice(f"{text} not ended. `{command}` ends it.", (command,))]
    older = [
        f"{node.name} ({version})"
        for node in seen.nodes
        if (version := Version.parse(node.kubelet_version)) and version < newest
    ]
    if not older:
        return []
    text = f"The kubelet is older than the control plane ({newest}) on {', '.join(older)}."
    return [Notice(f"{text} `{command}` names the commands for the packages.", (command,))]
