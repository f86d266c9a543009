"""What a run must be allowed to do; the README's ClusterRole says the same (a test compares)."""

from __future__ import annotations

from kubectl_selfhost.cluster.access import Access
from kubectl_selfhost.names import NAMESPACE

_IN_KUBE_SYSTEM = (
    ("", "pods", ("get", "list", "create", "delete")),
    # A websocket's exec is authorised as get until Kubernetes 1.34, and as create from 1.35 on.
    ("", "pods/exec", ("get", "create")),
    ("", "configmaps", ("get", "list", "create", "patch", "delete")),
    ("", "events", ("list",)),
    ("apps", "daemonsets", ("get", "list", "create", "patch", "delete")),
    ("coordination.k8s.io", "leases", ("get", "list", "create", "update")),
)
_CLUSTER_WIDE = (
    ("", "nodes", ("get", "list", "patch")),
    ("", "nodes/proxy", ("get",)),
    ("", "pods", ("list",)),
)


def for_pivot() -> list[Access]:
    """Everything that ``kubectl selfhost pivot`` does."""
    scoped = [
        _access(verb, group, resource, NAMESPACE)
        for group, resource, verbs in _IN_KUBE_SYSTEM
        for verb in verbs
    ]
    return scoped + [
        _access(verb, group, resource, "")
        for group, resource, verbs in _CLUSTER_WIDE
        for verb in verbs
    ]


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
