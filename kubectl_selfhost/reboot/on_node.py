"""The files that a run puts on a node for the time after a reboot: recovery copies and the guardian.

A copy is the last manifest that was seen to serve. A run writes copies before a pivot removes the
static pods, and again after a successful rollout. It never writes a copy of an untested manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.controlplane.values.addresses import is_address
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import manifestfile
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.orders import ManifestFile
from kubectl_selfhost.reboot import guardian, recovery
from kubectl_selfhost.reboot.guardian import Guarded


def store_copies(
    agent: NodeAgent,
    daemonsets: Mapping[Component, dict],
    *,
    facts: NodeFacts,
    journal: Journal,
    observer: Observer,
) -> None:
    """Write the recovery copies of ``daemonsets``' pods to the agent's node.

    If no static pod can run a component, warn and keep the component's old copy. A component of
    which two must not run gets no copy (``uncopied``).
    """
    alone = uncopied(daemonsets)
    for component, daemonset in daemonsets.items():
        if component in alone:
            journal.component(agent.target.node, component.name, recovery=None)
            continue
        try:
            copy = recovery.copy_of(daemonset, component, facts)
        except SelfhostError as error:
            observer.warning(f"{error.message} {error.hint}")
            continue
        agent.store_recovery(f"{component}.yaml", _text(copy))
        journal.component(agent.target.node, component.name, recovery=recovery.digest(copy))


def uncopied(daemonsets: Mapping[Component, dict]) -> dict[Component, str]:
    """Return the components that have no recovery copy, and why.

    A copy runs beside the DaemonSet's pod for a while. Once the kubelet reaches the API, it restarts
    the DaemonSet's pod without a controller-manager and without a scheduler.
    """
    found = {c: beside.one_at_a_time(c, d["spec"]["template"]) for c, d in daemonsets.items()}
    return {component: why for component, why in found.items() if why}


def tell_uncopied(daemonsets: Mapping[Component, dict]) -> list[str]:
    """Return a sentence on each component that has no recovery copy."""
    return [
        f"{component} gets no recovery copy: {why}. After a reboot of the node the kubelet restarts its "
        "pod when the API is back. But a graceful shutdown of the node (the kubelet's "
        "shutdownGracePeriod) ends pods for good."
        for component, why in uncopied(daemonsets).items()
    ]


def install_guardian(
    agent: NodeAgent, daemonsets: Mapping[Component, dict], *, facts: NodeFacts
) -> None:
    """Start the guardian on the agent's node, for the components that ``daemonsets`` run."""
    files = [*agent.manifests(), *agent.kept()]
    alone = uncopied(daemonsets)
    guarded = [_guarded(c, d, facts, files) for c, d in daemonsets.items() if c not in alone]
    agent.store_recovery(guardian.LIST, guardian.guarded_list(guarded))
    agent.install_guardian(_text(guardian.manifest(agent.target)))


def _guarded(
    component: Component, daemonset: dict, facts: NodeFacts, files: Sequence[ManifestFile]
) -> Guarded:
    """Return the component for the guardian, with the file name of its manifest on the node. If
    there is no such file, the name is kubeadm's.
    """
    contents = {file.name: file.content for file in files}
    names = [n for n in manifestfile.files_of(contents, component) if not manifestfile.is_older(n)]
    # The pod of this node, because a variable may have the node's address as its value.
    pod = {
        **daemonset["spec"]["template"],
        "status": {"hostIP": facts.host_ip, "podIP": facts.host_ip},
    }
    address = staticpod.bind_address(pod, component)
    return Guarded(
        component=component.name,
        port=staticpod.secure_port(pod, component),
        file=names[0] if names else f"{component}.yaml",
        address=address if is_address(address) else "",
    )


def _text(manifest: dict) -> str:
    import yaml

    return yaml.safe_dump(manifest, sort_keys=False)
