"""What the users of a cluster may notice of an upgrade, read from the API's own objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from kubectl_selfhost.controlplane.upgrade.findings import APISERVER, COREDNS, Finding
from kubectl_selfhost.controlplane.upgrade.version import Version

_REQUESTED = re.compile(r"^apiserver_requested_deprecated_apis\{(.*)\} 1(?:\.0*)?(?:e\+00)?$", re.M)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_STARTED = re.compile(r"^process_start_time_seconds (\S+)$", re.M)
#: How many objects of a kind are named; the rest is counted.
_NAMED = 5


@dataclass(frozen=True)
class Requested:
    """A deprecated API that clients have used: ``removed`` is the first release without it."""

    name: str
    removed: str


def requested(metrics: str) -> list[Requested]:
    """Return the deprecated APIs that clients of an API server have used, from its ``metrics``;
    leave out those that no release takes away.
    """
    found = []
    for line in _REQUESTED.findall(metrics):
        label = dict(_LABEL.findall(line))
        group = f".{label['group']}" if label.get("group") else ""
        part = f"/{label['subresource']}" if label.get("subresource") else ""
        if label.get("removed_release"):
            name = f"{label.get('resource', '')}{part}{group}/{label.get('version', '')}"
            found.append(Requested(name, label["removed_release"]))
    return sorted(set(found), key=lambda one: (one.removed, one.name))


def started(metrics: str) -> datetime | None:
    """Return when the process that wrote ``metrics`` began; None if it does not say."""
    found = _STARTED.search(metrics)
    try:
        return datetime.fromtimestamp(float(found[1]), timezone.utc) if found else None
    except (ValueError, OverflowError, OSError):
        return None


def deprecated(
    node: str, used: Iterable[Requested], since: datetime | None, target: Version | None
) -> list[Finding]:
    """Return the findings about APIs that clients of the API server on ``node`` use.

    An API that the ``target`` does not serve blocks: its clients would fail.
    """
    counted = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    found = []
    for one in used:
        gone = Version.parse(f"{one.removed}.0")
        breaks = bool(target and gone and target.minors_after(gone) >= 0)
        found.append(
            Finding(
                APISERVER,
                f"clients have used {one.name}{counted}; v{one.removed} has it no more",
                blocks=breaks,
                remedy=(
                    "Change these clients (audit logs name them: annotation k8s.io/deprecated). "
                    "Then `kubectl selfhost rollout kube-apiserver` starts a new count."
                )
                * breaks,
                node=node,
            )
        )
    return found


def custom_resources(definitions: Iterable[Mapping]) -> list[Finding]:
    """Return the definitions whose objects are stored in a version that is not served."""
    found = []
    for one in definitions:
        served = {v["name"] for v in one["spec"].get("versions") or [] if v.get("served")}
        stored = (one.get("status") or {}).get("storedVersions") or []
        old = [version for version in stored if version not in served]
        if old:
            found.append(f"{one['metadata']['name']} ({', '.join(old)})")
    if not found:
        return []
    return [
        Finding(
            "CustomResourceDefinitions",
            f"objects may be stored in versions that are not served: {_some(found)}",
            remedy="Migrate them before the version leaves the definition.",
        )
    ]


def webhooks(configurations: Iterable[Mapping]) -> list[Finding]:
    """Return the webhooks that refuse every write while their server does not answer."""
    found = [
        f"{one['kind']} {one['metadata']['name']} ({hook['name']})"
        for one in configurations
        for hook in one.get("webhooks") or []
        if hook.get("failurePolicy", "Fail") == "Fail"
        and any(_matches_all(rule) for rule in hook.get("rules") or [])
        and not hook.get("namespaceSelector")
        and not hook.get("objectSelector")
        and not hook.get("matchConditions")
    ]
    if not found:
        return []
    return [
        Finding(
            "Webhooks",
            f"refuse every write while their server does not answer: {_some(found)}",
            remedy="Look whether they accept the new version's objects, and exempt kube-system.",
        )
    ]


def _matches_all(rule: Mapping) -> bool:
    everything = {"*", "*/*"}
    return (
        "*" in (rule.get("apiGroups") or [])
        and bool(everything & set(rule.get("resources") or []))
        and bool({"*", "CREATE", "UPDATE"} & set(rule.get("operations") or []))
    )


def corefile(text: str) -> list[Finding]:
    """Return a finding if a CoreDNS configuration is not kubeadm's own."""
    domain = re.search(r"kubernetes (\S+) in-addr\.arpa ip6\.arpa", text)
    words = " ".join(text.split())
    if domain and words in (form.replace("DOMAIN", domain[1]) for form in _COREFILES):
        return []
    return [
        Finding(
            COREDNS,
            "its Corefile (ConfigMap coredns) is not kubeadm's own",
            remedy="It stays; `kubeadm upgrade apply phase addon coredns` on a node migrates it.",
        )
    ]


_BEGIN = (
    ".:53 { errors health { lameduck 5s } ready kubernetes DOMAIN in-addr.arpa ip6.arpa { "
    "pods insecure fallthrough in-addr.arpa ip6.arpa ttl 30 } prometheus :9153 "
    "forward . /etc/resolv.conf { max_concurrent 1000 } "
)
_END = "loop reload loadbalance }"
#: kubeadm's own, until 1.31 and since (cmd/kubeadm/app/phases/addons/dns/manifests.go).
_COREFILES = (
    f"{_BEGIN}cache 30 {_END}",
    f"{_BEGIN}cache 30 {{ disable success DOMAIN disable denial DOMAIN }} {_END}",
)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", and {more} more" if more > 0 else "")
