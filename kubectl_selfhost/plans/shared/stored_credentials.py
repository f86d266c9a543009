"""The objects with the control plane's credentials: stored, read, and deleted when nothing uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import AlreadyExists
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, DAEMONSETS, PODS, SECRETS, kind_of
from kubectl_selfhost.controlplane.daemonset import in_secrets, stored
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CREDENTIALS_LABEL, NAMESPACE

_KINDS = {"Secret": SECRETS, "ConfigMap": CONFIGMAPS}
#: Phases of a pod that never runs again.
_ENDED = ("Succeeded", "Failed")


def store(cluster: Cluster, manifests: Iterable[dict]) -> None:
    """Create the objects; one that exists must be the same.

    Raise SelfhostError if somebody else made an object of such a name.
    """
    for manifest in manifests:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        try:
            cluster.create(kind, manifest)
        except AlreadyExists as error:
            found = cluster.get(kind, name, NAMESPACE)
            same = ("data", "binaryData", "immutable")
            if any(found.get(field) != manifest.get(field) for field in same):
                raise _foreign(manifest["kind"], name) from error


def are_stored(cluster: Cluster, names: Iterable[tuple[str, str]]) -> bool:
    """Return whether each of these objects (kind, name) exists, with the content that it names."""
    for kind, name in names:
        found = cluster.find(_KINDS[kind], name, NAMESPACE)
        if found is None or not stored.is_sound({**found, "kind": kind}):
            return False
    return True


def read(cluster: Cluster, kind: str, name: str) -> dict:
    """Return an object. Raise SelfhostError if it is gone, or is not the one that its name says."""
    found = cluster.find(_KINDS[kind], name, NAMESPACE)
    if found is None:
        raise SelfhostError(
            f"The {kind} {name} in {NAMESPACE} is gone. Pods that run keep its content, new ones can't "
            "start.",
            "Run `kubectl selfhost credentials to-secrets`: it makes the object from the nodes' files.",
        )
    made = {**found, "kind": kind}
    if not stored.is_sound(made):
        raise _foreign(kind, name)
    return made


def files(
    cluster: Cluster, volumes: Iterable[dict], node: str
) -> Iterator[tuple[str, stored.HostFile]]:
    """Yield the files that pods with these volumes read on a node, each with its object's kind."""
    for (kind, name), keys in stored.on_node(volumes, node).items():
        held = stored.host_files(read(cluster, kind, name))
        yield from ((kind, held[key]) for key in keys)


def digests(cluster: Cluster, volumes: Iterable[dict], node: str) -> dict[str, str]:
    """Return the SHA-256 of these files, by path."""
    return {
        one.path: hashlib.sha256(one.content).hexdigest()
        for _, one in files(cluster, volumes, node)
    }


def unused(cluster: Cluster) -> list[dict]:
    """Return the objects that neither a DaemonSet's template nor a pod names."""
    pods = [
        one
        for one in cluster.list(PODS, NAMESPACE)
        if (one.get("status") or {}).get("phase") not in _ENDED
    ]
    templates = [one["spec"]["template"] for one in cluster.list(DAEMONSETS, NAMESPACE)]
    named = {
        name
        for one in (*templates, *pods)
        for name in stored.named_in(one["spec"].get("volumes") or [])
    }
    return [
        {**one, "kind": kind}
        for kind in _KINDS
        for one in cluster.list(_KINDS[kind], NAMESPACE, labels=_LABELS)
        if (kind, one["metadata"]["name"]) not in named
    ]


def remove_unused(cluster: Cluster) -> None:
    """Delete these objects."""
    for one in unused(cluster):
        metadata = one["metadata"]
        cluster.delete(_KINDS[one["kind"]], metadata["name"], NAMESPACE, uid=metadata["uid"])


def refuse(daemonsets: Iterable[dict], verb: str) -> None:
    """Raise SelfhostError if one of the DaemonSets reads its credentials from Secrets, for a ``verb``
    that works with the nodes' files.
    """
    found = [one["metadata"]["name"] for one in daemonsets if in_secrets.is_in_secrets(one)]
    if found:
        raise SelfhostError(
            f"The pods of {', '.join(sorted(found))} read their credentials from Secrets. `{verb}` works "
            "with the files on the nodes.",
            f"Run `kubectl selfhost credentials to-host` first, then `kubectl selfhost {verb}`.",
        )


def _foreign(kind: str, name: str) -> SelfhostError:
    return SelfhostError(
        f"The {kind} {name} in {NAMESPACE} does not have the content that its name says: kubectl "
        "selfhost did not make it.",
        f"Find out who made it (`kubectl -n {NAMESPACE} get {kind.lower()} {name} -o "
        "jsonpath='{.metadata}'`, and the API server's audit log), then delete it.",
    )


#: The key of an agent has this label, too, and goes with the agent.
_LABELS = f"{CREDENTIALS_LABEL},{CREDENTIALS_LABEL}!=seal"
