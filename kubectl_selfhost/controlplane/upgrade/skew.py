"""The version skew policy of Kubernetes: who may run beside whom, and where an upgrade may go.

https://kubernetes.io/releases/version-skew-policy/ (the numbers have not changed since 1.28)
"""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.controlplane.upgrade.findings import (
    APISERVER,
    CONTROLLER_MANAGER,
    KUBE_PROXY,
    KUBELET,
    SCHEDULER,
    Finding,
    Running,
    refused,
)
from kubectl_selfhost.controlplane.upgrade.version import Version

#: By how many minor releases a kubelet or a kube-proxy may be older than any API server.
OLDER_KUBELET = 3
_COMMAND = "kubectl selfhost upgrade"
_STILL_BACK = "`kubectl selfhost upgrade --back VERSION` goes back by one minor release at most."


def skew(running: Sequence[Running], target: Version, *, back: bool = False) -> list[Finding]:
    """Return what the policy says against API servers of version ``target`` on this cluster.

    ``back``: a person asked to go back to an older version.
    """
    known = [(one, one.version) for one in running if one.version is not None]
    servers = [(one, version) for one, version in known if one.component == APISERVER]
    newest = max((version for _, version in servers), default=target)
    first = [
        *_unknown(running),
        *_mixed([version for _, version in servers], target),
        *[found for one, now in servers if (found := _way(one, now, target, newest, back=back))],
    ]
    if any(one.blocks for one in first):
        return first  # what else does not fit is a consequence
    return [
        *first,
        *[
            found
            for one, version in known
            if one.component in (CONTROLLER_MANAGER, SCHEDULER)
            if (found := _manager(one, version, target, back=back))
        ],
        *[
            found
            for one, version in known
            # On the way back kube-proxy goes first.
            if one.component == KUBELET or (one.component == KUBE_PROXY and not back)
            if (found := _on_node(one, version, target))
        ],
        *_apart(running),
    ]


def _unknown(running: Sequence[Running]) -> list[Finding]:
    return [
        Finding(
            one.component,
            f"the image {one.image or 'is unknown, and'} tells no version",
            blocks=one.component == APISERVER,
            remedy="Name the version in the image's tag, as Kubernetes' own images do.",
            node=one.node,
        )
        for one in running
        if one.version is None and one.component in (APISERVER, CONTROLLER_MANAGER, SCHEDULER)
    ]


def _mixed(servers: Sequence[Version], target: Version) -> list[Finding]:
    """Refuse API servers of different minor releases, unless the upgrade continues to the newest."""
    releases = {one.release for one in servers}
    if len(releases) < 2:
        return []
    newest = max(servers)
    finding = f"run as {' and '.join(sorted(releases))}"
    if newest.release == target.release and newest.minors_after(min(servers)) == 1:
        return [Finding("The API servers", f"{finding}; this upgrade ends that")]
    return [
        Finding(
            "The API servers",
            finding,
            blocks=True,
            remedy=f"Bring all to one release first: `{_COMMAND} {newest}`.",
        )
    ]


def _way(
    one: Running, now: Version, target: Version, newest: Version, *, back: bool
) -> Finding | None:
    """Return what speaks against the way of an API server from ``now`` to ``target``."""
    steps = target.minors_after(now)
    if back:
        if target >= newest:
            why, remedy = (
                f"runs {now}, and {target} is not older",
                f"Leave --back out: `{_COMMAND} {target}`.",
            )
        elif steps < -1:
            why, remedy = f"runs {now}, {-steps} minor releases after {target}", _STILL_BACK
        else:
            return None
    elif target < now:
        why, remedy = f"runs {now}, which is newer than {target}", _STILL_BACK
    elif steps > 1:
        why = f"runs {now}, {steps} minor releases before {target}"
        remedy = (
            "The policy allows no minor release to be left out: upgrade to "
            f"v{now.major}.{now.minor + 1} first."
        )
    else:
        return None
    return refused(one, why, remedy)


def _manager(one: Running, now: Version, target: Version, *, back: bool) -> Finding | None:
    """Return what speaks against a controller manager or scheduler beside the new API server."""
    if target.minors_after(now) > 1:
        return refused(
            one,
            f"runs {now}, more than one minor release before {target}",
            f"Bring it to the API server's version first: `{_COMMAND}` shows the versions.",
        )
    if now.minors_after(target) > 0 and not back:
        return refused(
            one,
            f"runs {now}, which is newer than {target}",
            f"Upgrade to {now} instead: `{_COMMAND} {now}`.",
        )
    return None


def _on_node(one: Running, now: Version, target: Version) -> Finding | None:
    older = target.minors_after(now)
    if older < 0:
        return refused(
            one,
            f"runs {now}, and must not be newer than API servers of {target.release}",
            f"Upgrade to {now.release}, or install an older {one.component} there first.",
        )
    if older > OLDER_KUBELET:
        return refused(
            one,
            f"runs {now}, {older} minor releases before {target.release} (at most {OLDER_KUBELET})",
            f"Upgrade {one.component} on the node first.",
        )
    return None


def _apart(running: Sequence[Running]) -> list[Finding]:
    """Return each kube-proxy that is too far from its own node's kubelet."""
    kubelets = {one.node: one.version for one in running if one.component == KUBELET}
    found = []
    for one in running:
        kubelet = kubelets.get(one.node)
        if one.component != KUBE_PROXY or one.version is None or kubelet is None:
            continue
        if abs(one.version.minors_after(kubelet)) > OLDER_KUBELET:
            found.append(
                refused(
                    one,
                    f"runs {one.version} beside a kubelet of {kubelet} (at most {OLDER_KUBELET} "
                    "minor releases apart)",
                    "Upgrade the older of the two first.",
                )
            )
    return found
