"""What a run must be allowed to do; the roles in docs/permissions.md say the same (a test compares)."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.cluster import access
from kubectl_selfhost.cluster.access import Access
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import NAMESPACE

_IN_KUBE_SYSTEM = (
    ("", "pods", ("get", "list", "create", "delete")),
    # A websocket's exec is authorised as get until Kubernetes 1.34, and as create from 1.35 on.
    ("", "pods/exec", ("get", "create")),
    ("", "configmaps", ("get", "list", "watch", "create", "patch", "delete")),
    # The agent's program: its name holds a digest, so no rule can name it. Revert lists the programs
    # by our label, for earlier builds' have other names.
    ("", "secrets", ("get", "list", "create", "delete")),
    ("", "events", ("list",)),
    ("apps", "daemonsets", ("get", "list", "create", "update", "patch", "delete")),
    ("coordination.k8s.io", "leases", ("get", "list", "create", "update", "delete")),
)
#: The Service kubernetes is in the namespace default.
_IN_DEFAULT = (
    ("discovery.k8s.io", "endpointslices", ("get", "list", "create", "patch", "delete")),
)
_CLUSTER_WIDE = (
    ("", "nodes", ("get", "list", "patch")),
    ("", "nodes/proxy", ("get",)),
    ("", "pods", ("list",)),
)


def for_pivot() -> list[Access]:
    """Return everything that ``kubectl selfhost pivot`` does."""
    scopes = ((NAMESPACE, _IN_KUBE_SYSTEM), ("default", _IN_DEFAULT), ("", _CLUSTER_WIDE))
    return [
        _access(verb, group, resource, namespace)
        for namespace, rules in scopes
        for group, resource, verbs in rules
        for verb in verbs
    ]


def for_leases(components: Iterable[Component]) -> list[Access]:
    """Return what a hand-over does with the leases of ``components`` that are in other namespaces."""
    elsewhere = {c.lease_namespace for c in components if c.lease} - {NAMESPACE}
    return [
        _access(verb, "coordination.k8s.io", "leases", namespace)
        for namespace in sorted(elsewhere)
        for verb in ("get", "list", "update")
    ]


def require(cluster: Cluster) -> None:
    """Raise SelfhostError if the run lacks a permission; for verbs without pre-flight checks."""

    refused = access.denied(cluster, for_pivot())
    if refused:
        raise SelfhostError(
            "You may not " + "; ".join(str(d) for d in refused) + ".",
            "Ask for the roles in docs/permissions.md, or use another --user or --context.",
        )


def _access(verb: str, group: str, resource: str, namespace: str) -> Access:
    plain, _, subresource = resource.partition("/")
    return Access(
        verb=verb,
        group=group,
        resource=plain,
        subresource=subresource,
        namespace=namespace,
        name="",
    )
