"""The state of a control plane: nodes, rollouts, leaders, and leftovers of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.instance import (
    DAEMONSET,
    STATIC,
    Instance,
)
from kubectl_selfhost.controlplane.leader import Leader
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts


@dataclass(frozen=True)
class NodeState:
    """A control-plane node; ``instances`` are its pods by the component's name.

    ``ready`` is None if the node's object could not be read. ``hosts`` are the host names that its
    leaders use. ``labelled``: the node has the control-plane label. ``pivoted``: the node has the
    label of kubectl selfhost; ``group`` is the label's value for nodes that differ (see
    ``Component.group``). ``guardian``: the node has a guardian, which brings the API back after a
    reboot. ``guardian_differs``: the guardian's program is from another build. ``standing_in`` are
    the components whose recovery copy runs now. ``outdated`` are the components whose recovery copy
    differs from their DaemonSet.
    """

    name: str
    ready: bool | None = None
    labelled: bool = False
    pivoted: bool = False
    group: str = ""
    host_ip: str = ""
    arch: str = ""
    os: str = ""
    kubelet_version: str = ""
    hosts: Hosts = ONLY_HOST
    guardian: bool = False
    guardian_differs: bool = False
    standing_in: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    instances: Mapping[str, list[Instance]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Return whether the node has neither a component's pod nor a recovery copy."""
        return not any(self.instances.values()) and not self.standing_in


@dataclass(frozen=True)
class RolloutState:
    """The state of a rollout of ``component``'s DaemonSet; the numbers are pods, as in its status.

    ``observed`` is False until the DaemonSet controller has seen the newest version. ``ours``:
    kubectl selfhost made the DaemonSet. ``in_secrets``: its pods read credentials from Secrets.
    ``emulates`` is the version as which the component behaves, if it is another one.
    """

    name: str
    component: str
    desired: int
    current: int
    ready: int
    updated: int
    image: str = ""
    observed: bool = True
    ours: bool = True
    in_secrets: bool = False
    emulates: str = ""

    @property
    def complete(self) -> bool:
        """Return whether every desired pod exists, is Ready, and has the newest template."""
        return self.observed and self.desired == self.current == self.ready == self.updated


@dataclass(frozen=True)
class AgentPod:
    """A node agent's pod: normal while a run is in progress, else a leftover."""

    name: str
    node: str
    phase: str


@dataclass(frozen=True)
class ControlPlane:
    """The control plane: ``daemonsets`` by their own names, ``leaders`` by the component's name.

    ``journal`` is what earlier runs wrote (empty without a journal). ``journal_damaged``: the journal
    can't be read as one. ``run`` is the holder of the Lease of kubectl selfhost. ``programs`` are the
    objects from which the DaemonSets' pods start the node agent's program, if they could be read.
    """

    nodes: list[NodeState]
    daemonsets: Mapping[str, RolloutState] = field(default_factory=dict)
    leaders: Mapping[str, Leader] = field(default_factory=dict)
    agents: list[AgentPod] = field(default_factory=list)
    journal: Mapping[str, Any] = field(default_factory=dict)
    journal_damaged: bool = False
    run: Leader | None = None
    programs: Sequence[Carrier] = ()
    kept_addresses: Sequence[str] = ()

    def serves(self, component: Component, node: NodeState) -> str:
        """Return which Ready instance serves on the node: static, daemonset, both, or none."""
        kinds = {one.kind for one in node.instances.get(component.name, []) if one.ready}
        if len(kinds) == 2:
            return "both"
        return kinds.pop() if kinds else "none"

    def self_hosted(self, component: Component, node: NodeState) -> bool:
        """Return whether the DaemonSet's instance serves on the node, and no static pod stays."""
        staying = [i for i in node.instances.get(component.name, []) if not i.ending]
        static = any(i.kind == STATIC for i in staying)
        return self.serves(component, node) == DAEMONSET and not static

    @property
    def running(self) -> list[NodeState]:
        """Return the nodes that run components. A node may have the role's label and run none."""
        return [node for node in self.nodes if not node.empty]

    @property
    def run_going_on(self) -> Leader | None:
        """Return who runs kubectl selfhost on this cluster now, or None."""
        return self.run if self.run is not None and self.run.current else None

    @property
    def last_run(self) -> Mapping[str, Any] | None:
        """Return the journal's last run, None if there is none."""
        runs = [run for run in self.journal.get("runs") or [] if isinstance(run, dict)]
        return runs[-1] if runs else None

    @property
    def unfinished_run(self) -> Mapping[str, Any] | None:
        """Return the journal's last run if it has no end and no run is in progress, else None."""
        last = self.last_run
        unfinished = last is not None and not last.get("ended") and self.run_going_on is None
        return last if unfinished else None
