"""What is put on a node for the time after a reboot: recovery copies, and the guardian.

The copies are last known good: they are written from what serves (the static pods, before a pivot
takes them away) and again when a roll-out has proved itself, never from what is only meant to run.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubectl_selfhost.controlplane import recovery, staticpod
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset import NodeFacts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import guardian
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.guardian import Guarded
from kubectl_selfhost.workflow.journal import Journal
from kubectl_selfhost.workflow.runner import Observer


def store_copies(
    agent: NodeAgent,
    daemonsets: Mapping[Component, dict],
    *,
    facts: NodeFacts,
    journal: Journal,
    observer: Observer,
) -> None:
    """Writes the recovery copies of ``daemonsets``' pods to the agent's node.

    A component that no static pod can run is warned of, and keeps the copy that it has.
    """
    for component, daemonset in daemonsets.items():
        try:
            copy = recovery.copy_of(daemonset, component, facts)
        except SelfhostError as error:
            observer.warning(f"{error.message} {error.hint}")
            continue
        agent.store_recovery(f"{component}.yaml", _text(copy))
        journal.component(agent.target.node, component.name, recovery=recovery.digest(copy))


def install_guardian(
    agent: NodeAgent, daemonsets: Mapping[Component, dict], *, journal: Journal
) -> None:
    """Starts the guardian on the agent's node, for the components that ``daemonsets`` run."""
    node = agent.target.node
    guarded = [_guarded(c, daemonset, node, journal) for c, daemonset in daemonsets.items()]
    agent.store_recovery(guardian.LIST, guardian.guarded_list(guarded))
    agent.install_guardian(_text(guardian.manifest(agent.target)))


def _guarded(component: Component, daemonset: dict, node: str, journal: Journal) -> Guarded:
    """The manifest's file name is the journal's; where that has none, kubeadm's."""
    manifest = str(journal.component_facts(node, component.name).get("file") or "")
    return Guarded(
        component=component.name,
        port=staticpod.secure_port(daemonset["spec"]["template"], component),
        file=manifest.rpartition("/")[2] or f"{component}.yaml",
    )


def _text(manifest: dict) -> str:
    import yaml

    return yaml.safe_dump(manifest, sort_keys=False)
