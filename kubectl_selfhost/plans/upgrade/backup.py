"""What an upgrade changes, as it was before: kept in the cluster, in a ConfigMap for each target.

It holds DaemonSets, kubeadm's records and add-ons, and no Secret. As with the journal, everybody who may
write ConfigMaps may have written it: only images and flags are read from it, and a person sees them in
the plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import deepcopy

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import Forbidden
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, DAEMONSETS, DEPLOYMENTS, Kind
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.findings import KUBE_PROXY
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.engine.journal import mapping, now
from kubectl_selfhost.names import BEFORE, BEFORE_LABELS, KUBEADM_CONFIG, NAMESPACE, selector

_KEEP = 2
_MADE = "kubectl-selfhost/made-at"
_RECORDS: Sequence[tuple[Kind, str]] = (
    (DAEMONSETS, KUBE_PROXY),
    (CONFIGMAPS, KUBE_PROXY),
    (DEPLOYMENTS, "coredns"),
    (CONFIGMAPS, "coredns"),
    (CONFIGMAPS, KUBEADM_CONFIG),
)


def name_for(target: Target) -> str:
    """Return the ConfigMap's name for an upgrade to the target."""
    return f"{BEFORE}-{str(target.version).replace('+', '-').lower()}"


def make(cluster: Cluster, target: Target, daemonsets: Iterable[dict]) -> None:
    """Keep the ``daemonsets`` and what kubeadm has made beside them; remove all but the last two."""
    kept = {f"daemonset-{one['metadata']['name']}.json": _text(one) for one in daemonsets}
    for kind, name in _RECORDS:
        with suppress(Forbidden):
            found = cluster.find(kind, name, NAMESPACE)
            if found is not None:
                kept[f"{kind.kind.lower()}-{name}.json"] = _text(
                    {"apiVersion": kind.api_version, "kind": kind.kind, **found}
                )
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name_for(target),
                "namespace": NAMESPACE,
                "labels": BEFORE_LABELS,
                "annotations": {_MADE: now()},
            },
            "data": kept,
        }
    )
    for name in _all(cluster)[:-_KEEP]:
        cluster.delete(CONFIGMAPS, name, NAMESPACE)


def _all(cluster: Cluster) -> list[str]:
    """Return the names of all backups, the oldest first."""
    labels = selector(BEFORE_LABELS)
    found = cluster.list(CONFIGMAPS, NAMESPACE, labels=labels)
    made = [(mapping(one["metadata"].get("annotations")).get(_MADE, ""), one) for one in found]
    return [one["metadata"]["name"] for _, one in sorted(made, key=lambda pair: str(pair[0]))]


def daemonsets(cluster: Cluster, target: Target) -> dict[str, dict]:
    """Return the DaemonSets of the components as they were before an upgrade to the target, by name;
    leave out what can't be read.
    """
    return _read(mapping(cluster.find(CONFIGMAPS, name_for(target), NAMESPACE)))


def newest(cluster: Cluster) -> dict[str, dict]:
    """Return the DaemonSets as they were before the last upgrade, as ``daemonsets`` does."""
    names = _all(cluster)
    return _read(mapping(cluster.find(CONFIGMAPS, names[-1], NAMESPACE))) if names else {}


def _read(found: dict) -> dict[str, dict]:
    read = {}
    for text in mapping(found.get("data")).values():
        one: object = None
        with suppress(ValueError, TypeError, RecursionError):
            one = json.loads(text)
        name = mapping(mapping(one).get("metadata")).get("name")
        if isinstance(name, str) and any(component.runs_as(name) for component in COMPONENTS):
            read[name] = mapping(one)
    return read


def _text(thing: dict) -> str:
    """Return the object as JSON, without what the API server adds."""
    kept = deepcopy(thing)
    kept.pop("status", None)
    metadata = kept["metadata"]
    for field in ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"):
        metadata.pop(field, None)
    return json.dumps(kept, indent=1, sort_keys=True)
