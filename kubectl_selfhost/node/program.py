"""The Secrets with the node agent's program in a cluster: this module stores, checks and removes them.

A Secret with the program's name and another content is an attempt to run a program as root. The
Secret is evidence. So this module never uses, replaces or deletes it: the run ends with an error
that names the Secret.
"""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import AlreadyExists
from kubectl_selfhost.cluster.kinds import CONFIGMAPS, DAEMONSETS, SECRETS, kind_of
from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.program import CONFIG_MAP, SECRET, Carrier, Reference
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import AGENT, AGENT_LABELS, NAMESPACE, selector
from kubectl_selfhost.node import binaries

#: Seen with Kubernetes 1.37: a pod gets the first object of this name, long after the object was
#: deleted and another created, until no pod on the node mounts it or the kubelet is restarted.
_KEPT = (
    "A kubelet caches an immutable object as long as a pod mounts it: restart the kubelet of each node "
    "on which a pod of kubectl selfhost has started since."
)


class ForeignProgram(SelfhostError):
    """An object with the name of the agent's program holds something else."""

    def __init__(self, found: Reference, wrong: str) -> None:
        self.wrong = wrong
        super().__init__(
            f"The {found} in {NAMESPACE} does not hold the node agent's program: {wrong}. "
            "kubectl selfhost did not make this object, and does not run the program in it.",
            f"Somebody who may create {found.kind}s in {NAMESPACE} made the object. Find out who "
            f"(`{programs.look(found)}`, and the API server's audit log), and save a copy. Then run "
            f"`{delete(found)}`. {_KEPT} Then run the command again.",
        )


class SwappedProgram(SelfhostError):
    """The object with the program changed between the check and the pod's mount.

    ``started`` names the pods that mounted the object on ``node``; ``then`` is a sentence on what the
    run did with the pod.
    """

    def __init__(
        self, found: Reference, *, started: str, node: str, wrong: str, then: str = ""
    ) -> None:
        super().__init__(
            f"The {found} in {NAMESPACE} was replaced while {started} started: {wrong}. "
            + " ".join(filter(None, (then, f"A foreign program may have run on node {node}."))),
            f"Somebody who may delete and create {found.kind}s in {NAMESPACE} did this. Find out who "
            f"(`{programs.look(found)}`, and the API server's audit log) and what ran on the node. "
            f"{_KEPT} Then run the command again.",
        )


def delete(found: Reference) -> str:
    """Return the command that deletes an object."""
    return f"kubectl -n {NAMESPACE} delete {found.kind.lower()} {found.name}"


def uid(cluster: Cluster, arch: str) -> str:
    """Return the uid of the Secret with this build's program; empty if there is none.

    Raise ForeignProgram if it holds something else.
    """

    found = cluster.find(SECRETS, binaries.secret_name(arch), NAMESPACE)
    if found is None:
        return ""
    wrong = programs.what_is_wrong({**found, "kind": SECRET})
    if wrong:
        raise ForeignProgram(Reference(SECRET, found["metadata"]["name"]), wrong)
    own: str = found["metadata"]["uid"]
    return own


def refuse_foreign(cluster: Cluster, arches: Iterable[str]) -> None:
    """Raise ForeignProgram if a Secret for one of the CPUs holds another program than this build's."""
    for arch in dict.fromkeys(arches):
        uid(cluster, arch)


def store(cluster: Cluster, arch: str) -> None:
    """Create the Secret with this build's program, unless it exists.

    Raise ForeignProgram if an existing Secret of that name holds something else.
    """

    if uid(cluster, arch):
        return
    try:
        cluster.create(SECRETS, binaries.secret(arch))
    except AlreadyExists as error:
        if not uid(cluster, arch):
            raise SelfhostError(
                f"Somebody else has just created and deleted the {_own(arch)} in {NAMESPACE}.",
                "If `kubectl selfhost status` shows a run in progress, wait for its end. Then run the "
                "command again.",
            ) from error


def require(cluster: Cluster, arch: str) -> str:
    """Return the uid of the Secret with this build's program.

    Raise SelfhostError if there is none, ForeignProgram if it holds something else.
    """
    found = uid(cluster, arch)
    if not found:
        raise SelfhostError(
            f"The {_own(arch)} in {NAMESPACE}, which holds the node agent's program, is gone.",
            "Run the command again: the run then stores the program.",
        )
    return found


def remove(cluster: Cluster, arch: str) -> None:
    """Delete the Secret with this build's program, but not an object with another content."""

    try:
        found = uid(cluster, arch)
    except ForeignProgram:
        return
    if found:
        cluster.delete(SECRETS, binaries.secret_name(arch), NAMESPACE, uid=found)


def unused(cluster: Cluster) -> list[dict]:
    """Return the programs of any build, Secrets and former ConfigMaps, that no DaemonSet names.

    Objects with a foreign program are left out: see ``foreign``.
    """
    return [one for one in _unnamed(cluster) if not programs.what_is_wrong(one)]


def foreign(cluster: Cluster) -> list[ForeignProgram]:
    """Return an error for each object that has our label and holds a foreign program."""
    found = [(_reference(one), programs.what_is_wrong(one)) for one in _labelled(cluster)]
    return [ForeignProgram(one, wrong) for one, wrong in found if wrong]


def carriers(
    cluster: Cluster, daemonsets: Iterable[dict], secrets: Iterable[str] = ()
) -> list[Carrier]:
    """Return the objects from which the DaemonSets' pods mount the program, and the objects named
    in ``secrets`` (this build's names) that hold a foreign program.
    """

    kinds = {SECRET: SECRETS, CONFIG_MAP: CONFIGMAPS}
    daemonsets, own = list(daemonsets), {Reference(SECRET, name) for name in secrets}
    return programs.carriers(
        daemonsets,
        {
            one: cluster.find(kinds[one.kind], one.name, NAMESPACE)
            for one in programs.references(daemonsets) | own
        },
        own=own,
    )


def remove_unused(cluster: Cluster) -> None:
    """Delete the programs of any build that no DaemonSet names."""

    for one in unused(cluster):
        metadata = one["metadata"]
        cluster.delete(kind_of(one), metadata["name"], NAMESPACE, uid=metadata["uid"])


def _unnamed(cluster: Cluster) -> list[dict]:

    named = programs.references(cluster.list(DAEMONSETS, NAMESPACE))
    return [one for one in _labelled(cluster) if _reference(one) not in named]


def _labelled(cluster: Cluster) -> list[dict]:
    """Return the objects with our label whose names begin like a program's name. (The journal has
    the label, too.)
    """

    labels = selector(AGENT_LABELS)
    found = [
        *({**one, "kind": SECRET} for one in cluster.list(SECRETS, NAMESPACE, labels=labels)),
        *(
            {**one, "kind": CONFIG_MAP}
            for one in cluster.list(CONFIGMAPS, NAMESPACE, labels=labels)
        ),
    ]
    return [one for one in found if one["metadata"]["name"].startswith(f"{AGENT}-")]


def _reference(stored: dict) -> Reference:
    return Reference(stored["kind"], stored["metadata"]["name"])


def _own(arch: str) -> Reference:
    return Reference(SECRET, binaries.secret_name(arch))
