"""The etcd and the CoreDNS that kubeadm has for each minor release, and etcd's rule for a new minor.

Read from kubeadm (cmd/kubeadm/app/constants/constants.go): the newest patch release that was read.
For a minor release that is not here, etcd and CoreDNS stay as they are: a guess would be worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.findings import (
    COREDNS,
    ETCD,
    KUBE_PROXY,
    Finding,
    Running,
    refused,
)
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

#: By minor release: the tags of etcd and CoreDNS.
_TAGS = {
    33: ("3.5.24-0", "v1.12.0"),
    34: ("3.6.5-0", "v1.12.1"),
    35: ("3.6.6-0", "v1.13.1"),
    36: ("3.6.8-0", "v1.14.2"),
    37: ("3.7.0-0", "v1.14.6"),
}
#: The oldest patch release of etcd from which the next minor is safe (etcd.io, upgrade guides).
_SAFE_FROM = {(3, 5): Version(3, 5, 26), (3, 6): Version(3, 6, 11)}


def target_for(
    version: Version,
    running: Sequence[Running],
    *,
    configuration: Mapping[str, object],
    keep_etcd: bool = False,
) -> Target:
    """Return the target of an upgrade to ``version``.

    ``configuration`` is kubeadm's ClusterConfiguration: a tag of etcd or CoreDNS that a person has
    set there stays. Nothing becomes older.
    """
    tags = {component.name: version.tag for component in COMPONENTS}
    if any(one.component == KUBE_PROXY for one in running):
        tags[KUBE_PROXY] = version.tag
    etcd, coredns = _TAGS.get(version.minor, ("", "")) if version.major == 1 else ("", "")
    if not keep_etcd and not _own_tag(configuration, "etcd", "local"):
        tags |= _newer(ETCD, etcd, running)
    if not _own_tag(configuration, "dns"):
        tags |= _newer(COREDNS, coredns, running)
    return Target(version, tags)


def _newer(component: str, tag: str, running: Sequence[Running]) -> dict[str, str]:
    there = [one.version for one in running if one.component == component]
    wanted = plain(tag)
    if wanted is None or not there:
        return {}
    older = all(one is not None for one in there) and any(one < wanted for one in there if one)
    return {component: tag} if older else {}


def plain(tag: str) -> Version | None:
    """Return the version in a tag of etcd or CoreDNS: etcd's images have a number of their own
    behind it (``3.7.0-0``).
    """
    return Version.parse(tag.partition("-")[0])


def _own_tag(configuration: Mapping[str, object], *path: str) -> bool:
    at: object = configuration
    for key in path:
        at = at.get(key) if isinstance(at, Mapping) else None
    return isinstance(at, Mapping) and bool(at.get("imageTag"))


def etcd_rule(running: Sequence[Running], target: Target) -> list[Finding]:
    """Return each etcd member that may not go to the target's etcd in one step."""
    wanted = plain(target.tags.get(ETCD, ""))
    if wanted is None:
        return []
    found = []
    for one in running:
        if one.component != ETCD or one.version is None:
            continue
        now = one.version
        safe = _SAFE_FROM.get((now.major, now.minor))
        steps = wanted.minors_after(now)
        if steps > 1:
            why = f"runs {_plain(now)}, and {_plain(wanted)} is {steps} minor releases later"
        elif steps == 1 and safe is not None and now < safe:
            why = f"runs {_plain(now)}; the way to {_plain(wanted)} is safe from {_plain(safe)} on only"
        else:
            continue
        found.append(
            refused(one, why, "Add --etcd=keep: this Kubernetes works with the present etcd.")
        )
    return found


def kept(running: Sequence[Running], target: Target) -> list[Finding]:
    """Return what stays as it is because kubeadm's choice for this release is not known."""
    if target.version.major == 1 and target.version.minor in _TAGS:
        return []
    there = {one.component for one in running} & {ETCD, COREDNS}
    if not there:
        return []
    return [
        Finding(
            " and ".join(sorted(there, key=str.lower, reverse=True)),
            f"stay as they are: the versions that kubeadm {target.version.release} has are not "
            "known here",
        )
    ]


def _plain(version: Version) -> str:
    return str(version).removeprefix("v")
