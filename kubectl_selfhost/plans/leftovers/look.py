"""What an earlier run left in the cluster, as far as the API shows it. This module changes nothing.

A killed run can leave a component half-way: its manifest is away, the new instance may or may not
serve, the agent on the node waits for an order or has ended with its pod. ``settle`` makes steps of
what this module finds. What the guardian does after a restart of a node is no leftover: its
recovery copies serve, and go by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import LEASES
from kubectl_selfhost.controlplane.component import COMPONENTS, Component
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.engine import journal as journals
from kubectl_selfhost.harmless import harmless
from kubectl_selfhost.names import AGENT_LABELS, LEASE, NAMESPACE
from kubectl_selfhost.plans.shared import service_address
from kubectl_selfhost.plans.shared.situation import Situation, read_situation


@dataclass(frozen=True)
class LeftOnNode:
    """The leftovers on ``node``.

    ``agent``: the agent's pod is there. ``unserved`` are the components that have a DaemonSet and
    no instance that serves. ``doubled`` are the components that have a static pod and a
    DaemonSet's: one of the two may be on its way out, which only the manifest's place on the node
    tells.
    """

    node: str
    agent: bool
    unserved: tuple[Component, ...]
    doubled: tuple[Component, ...]

    def __bool__(self) -> bool:
        return bool(self.agent or self.unserved or self.doubled)

    def sentence(self) -> str:
        """Return a sentence that says what is left."""
        return "; ".join(self._found())

    def _found(self) -> Iterator[str]:
        if self.agent:
            yield "the node agent's pod still exists"
        if self.unserved:
            yield f"no instance of {_names(self.unserved)} serves"
        if self.doubled:
            yield f"{_names(self.doubled)}: both a static pod and a DaemonSet's pod exist"


@dataclass(frozen=True)
class Leftovers:
    """The leftovers on the nodes, and in the Service ``kubernetes``.

    ``addresses`` are the addresses that our EndpointSlice keeps. ``run`` names the run that was
    interrupted, by the journal; ``held_by`` is who has the Lease: a run that is going on, or was
    just killed.
    """

    situation: Situation
    nodes: tuple[LeftOnNode, ...]
    addresses: tuple[str, ...]
    run: str
    held_by: str

    def __bool__(self) -> bool:
        return bool(self.nodes or self.addresses)

    @property
    def hides_the_rest(self) -> bool:
        """Return whether nobody can tell, before the leftovers are settled, what is to be done
        afterwards.
        """
        return any(self._is_open(one) for one in self.nodes)

    def _is_open(self, left: LeftOnNode) -> bool:
        waits_beside = [c for c in left.doubled if self._waits_beside(c, left.node)]
        # The guardian leaves recovery copies in place while an agent is there.
        copied = left.agent and any(self.situation.stands_in(c, left.node) for c in COMPONENTS)
        return bool(left.unserved) or len(waits_beside) < len(left.doubled) or copied

    def _waits_beside(self, component: Component, node: str) -> bool:
        """Return whether the DaemonSet's pod waits for the port of a static pod that serves."""
        found = self.situation.instances(component, node)
        return all(i.ready if i.kind == STATIC else i.waiting_for_port for i in found)


def look(cluster: Cluster) -> Leftovers:
    """Read what is left over. Raise the API's error (ApiError)."""
    situation = read_situation(cluster)
    found = [_on_node(situation, name) for name in situation.node_names]
    return Leftovers(
        situation=situation,
        nodes=tuple(one for one in found if one),
        addresses=tuple(service_address.kept(cluster)),
        run=_interrupted(journals.read(cluster)),
        held_by=_holder(cluster),
    )


def _on_node(situation: Situation, node: str) -> LeftOnNode:
    if not any(situation.instances(component, node) for component in COMPONENTS):
        return LeftOnNode(node, agent=False, unserved=(), doubled=())
    own = [situation.own(component, node) for component in COMPONENTS]
    return LeftOnNode(
        node,
        agent=any(_is_agent(pod) and pod["spec"].get("nodeName") == node for pod in situation.pods),
        unserved=tuple(
            c
            for c in own
            if c.daemonset in situation.daemonsets and not _serves(situation, c, node)
        ),
        doubled=tuple(c for c in own if _kinds(situation, c, node) == {STATIC, DAEMONSET}),
    )


def _serves(situation: Situation, component: Component, node: str) -> bool:
    """Return whether somebody serves, or a static pod is there: the kubelet keeps a static pod
    running.
    """
    return situation.stands_in(component, node) or any(
        i.ready or i.kind == STATIC for i in situation.instances(component, node)
    )


def _kinds(situation: Situation, component: Component, node: str) -> set[str]:
    return {i.kind for i in situation.instances(component, node) if not i.ending}


def _is_agent(pod: dict) -> bool:
    return AGENT_LABELS.items() <= (pod["metadata"].get("labels") or {}).items()


def _interrupted(journal: dict) -> str:
    runs = [run for run in journal.get("runs", []) if isinstance(run, dict)]
    open_run = next((run for run in reversed(runs[-1:]) if not run.get("ended")), None)
    return f"the interrupted {open_run.get('verb', 'run')}" if open_run else "an earlier run"


def _holder(cluster: Cluster) -> str:

    lease = cluster.find(LEASES, LEASE, NAMESPACE) or {}
    return harmless(str((lease.get("spec") or {}).get("holderIdentity") or ""))


def _names(components: tuple[Component, ...]) -> str:
    return ", ".join(component.name for component in components)
