"""What a control plane looks like, from the objects that the API shows. Pure: it fetches nothing.

From it come the status page and the checks whether something is done.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS, Component, group_of
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.controlplane.instance import (
    DAEMONSET,
    STATIC,
    Instance,
    instances_of,
    kind_of,
    phase_and_restarts,
)
from kubectl_selfhost.controlplane.leader import Leader, holder, leader_of, newest_renewal
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.controlplane.values import hosts
from kubectl_selfhost.controlplane.values.addresses import host_ip
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts
from kubectl_selfhost.names import (
    ADDRESS_SLICE,
    AGENT_LABELS,
    CONTROL_PLANE_LABEL,
    FIELD_MANAGER,
    GUARDIAN_PROGRAM_ANNOTATION,
    JOURNAL,
    LEASE,
    NODE_LABEL,
    guardian_pod,
)
from kubectl_selfhost.reboot import recovery

__all__ = [
    "DAEMONSET",
    "STATIC",
    "AgentPod",
    "ControlPlane",
    "Instance",
    "NodeState",
    "RolloutState",
    "instances_of",
    "observe",
]


@dataclass(frozen=True)
class NodeState:
    """A control-plane node; ``instances`` are its pods by the component's name.

    ``ready`` is None where the node's object could not be seen, ``hosts`` by what its leaders are
    known. ``labelled`` says whether it has
    the control-plane role, ``pivoted`` whether it has our label, and ``group`` what that says of
    nodes that differ (see ``Component.group``). ``guardian``: it brings the API
    back after a reboot, by copies of the components, and ``guardian_differs`` if its program is another
    build's; ``standing_in`` are those whose copy runs now,
    ``outdated`` those whose copy is not what their DaemonSet says.
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
        """Whether no component has a pod here, nor a copy: a control-plane node in name only."""
        return not any(self.instances.values()) and not self.standing_in


@dataclass(frozen=True)
class RolloutState:
    """How far a DaemonSet of ``component`` is rolled out; the numbers are pods, as in its status.

    ``observed`` is False while its controller hasn't seen its newest version; ``ours`` whether we
    made it.
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

    @property
    def complete(self) -> bool:
        """Whether every pod that should be there is, is Ready, and is of the newest template."""
        return self.observed and self.desired == self.current == self.ready == self.updated


@dataclass(frozen=True)
class AgentPod:
    """A pod of ours on a node: normal while a run is going on, left over otherwise."""

    name: str
    node: str
    phase: str


@dataclass(frozen=True)
class ControlPlane:
    """The control plane. ``daemonsets`` are by their own names, ``leaders`` by the component's.

    ``journal`` is what earlier runs wrote (empty where there is none), ``journal_damaged`` that
    there is one which can't be understood. ``run`` is who holds our own lease. ``programs`` are the
    objects that the DaemonSets' pods start the node agent's program from, as far as they could be read.
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
        """Whose Ready instance serves there: static, daemonset, both, or none."""
        kinds = {one.kind for one in node.instances.get(component.name, []) if one.ready}
        if len(kinds) == 2:
            return "both"
        return kinds.pop() if kinds else "none"

    def self_hosted(self, component: Component, node: NodeState) -> bool:
        """Whether the DaemonSet's instance serves there, and no static pod is left."""
        static = [i for i in node.instances.get(component.name, []) if i.kind == STATIC]
        return self.serves(component, node) == DAEMONSET and not static

    @property
    def running(self) -> list[NodeState]:
        """The nodes that run a control plane: not those that only bear the role's label."""
        return [node for node in self.nodes if not node.empty]

    @property
    def run_going_on(self) -> Leader | None:
        """Who runs kubectl selfhost on this cluster just now, or None."""
        return self.run if self.run is not None and self.run.current else None

    @property
    def last_run(self) -> Mapping[str, Any] | None:
        """The journal's last run, None if there is none."""
        runs = [run for run in self.journal.get("runs") or [] if isinstance(run, dict)]
        return runs[-1] if runs else None

    @property
    def unfinished_run(self) -> Mapping[str, Any] | None:
        """The journal's last run if its end was never written and nobody is at it; else None."""
        last = self.last_run
        unfinished = last is not None and not last.get("ended") and self.run_going_on is None
        return last if unfinished else None


def observe(
    *,
    nodes: Iterable[dict],
    pods: Iterable[dict],
    daemonsets: Iterable[dict] = (),
    leases: Iterable[dict] = (),
    configmaps: Iterable[dict] = (),
    endpointslices: Iterable[dict] = (),
    programs: Sequence[Carrier] = (),
    own_programs: Collection[str] = (),
) -> ControlPlane:
    """The control plane that these API objects of kube-system (and nodes) show.

    Objects that have nothing to do with it are passed over. A node counts by its role label; one
    that is not among ``nodes`` counts if it has an instance. ``own_programs`` are the names of the
    Secrets with this build's programs.
    """
    pods, leases, daemonsets = list(pods), list(leases), list(daemonsets)
    instances = {c.name: instances_of(pods, c) for c in COMPONENTS}
    ours = [one for one in leases if one["metadata"]["name"] == LEASE]
    content, damaged = _journal(configmaps)
    return ControlPlane(
        nodes=[
            _with_recovery(node, pods, daemonsets, content, own_programs)
            for node in _nodes(nodes, pods, instances)
        ],
        daemonsets=_rollouts(daemonsets),
        leaders=_leaders(pods, leases),
        agents=[_agent(pod) for pod in pods if _is_agent(pod)],
        journal=content,
        journal_damaged=damaged,
        run=holder(next(iter(ours), None), newest_renewal(leases)),
        programs=programs,
        kept_addresses=_kept_addresses(endpointslices),
    )


def led(pods: Iterable[dict]) -> list[Component]:
    """Return the components, each with the lease by which its pods among ``pods`` lead."""
    pods = list(pods)
    found = []
    for component in COMPONENTS:
        own = _pods_of(component, pods)
        found.append(staticpod.led_as(own[0], component) if own else component)
    return found


def _pods_of(component: Component, pods: list[dict]) -> list[dict]:
    return [
        pod
        for pod in pods
        if kind_of(pod, component) is not None or recovery.recovers(pod) == component.name
    ]


def _leaders(pods: list[dict], leases: list[dict]) -> dict[str, Leader]:
    """Who leads each component; nothing where there is no leader, or nothing shows which lease it is.

    A configuration file on the node may name another lease than the flags do, or switch the election
    off: then only a lease that is renewed says something.
    """
    found = {}
    for component in led(pods):
        leader = leader_of(component, leases)
        guessed = any(staticpod.leads_by_file(p, component) for p in _pods_of(component, pods))
        if leader is not None and (leader.current or not guessed):
            found[component.name] = leader
    return found


def _nodes(
    objects: Iterable[dict], pods: list[dict], instances: Mapping[str, list[Instance]]
) -> list[NodeState]:
    by_name = {one["metadata"]["name"]: one for one in objects}
    wanted = {name for name, one in by_name.items() if CONTROL_PLANE_LABEL in _labels(one)}
    wanted |= {one.node for found in instances.values() for one in found if one.node}
    wanted |= recovery.nodes_with_copies(pods)
    known = [by_name.get(name) or {"metadata": {"name": name}} for name in sorted(wanted)]
    states = []
    for name in sorted(wanted):
        here = {c: [i for i in found if i.node == name] for c, found in instances.items()}
        state = _node(name, by_name.get(name), pods, here)
        states.append(replace(state, hosts=hosts.among(name, known)))
    return states


def _node(
    name: str, node: dict | None, pods: list[dict], here: Mapping[str, list[Instance]]
) -> NodeState:
    if node is None:
        return NodeState(name=name, instances=here)
    status = node.get("status") or {}
    info = status.get("nodeInfo") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or []}
    return NodeState(
        name=name,
        ready=conditions.get("Ready") == "True",
        labelled=CONTROL_PLANE_LABEL in _labels(node),
        pivoted=bool(_labels(node).get(NODE_LABEL)),
        group=group_of(node),
        host_ip=host_ip(node, pods),
        arch=info.get("architecture", ""),
        os=info.get("operatingSystem", ""),
        kubelet_version=info.get("kubeletVersion", ""),
        instances=here,
    )


def _with_recovery(
    node: NodeState,
    pods: list[dict],
    daemonsets: list[dict],
    journal: Mapping[str, Any],
    own_programs: Collection[str],
) -> NodeState:
    here = [pod for pod in pods if pod["spec"].get("nodeName") == node.name]
    facts = NodeFacts(node.name, node.host_ip, None, node.arch)
    guardians = [pod for pod in here if pod["metadata"]["name"] == guardian_pod(node.name)]
    programs = {_annotations(pod).get(GUARDIAN_PROGRAM_ANNOTATION) for pod in guardians}
    return replace(
        node,
        guardian=bool(guardians),
        guardian_differs=bool(own_programs) and bool(programs - set(own_programs)),
        standing_in=recovery.standing_in(here),
        outdated=recovery.outdated(daemonsets, facts, journal, group=node.group),
    )


def _rollouts(objects: Iterable[dict]) -> dict[str, RolloutState]:
    by_name = {one["metadata"]["name"]: one for one in objects}
    found = [own for component in COMPONENTS for own in component.groups_in(by_name)]
    return {own.daemonset: _rollout(by_name[own.daemonset], own) for own in found}


def _rollout(daemonset: dict, component: Component) -> RolloutState:
    metadata, status = daemonset["metadata"], daemonset.get("status") or {}
    containers = daemonset["spec"]["template"]["spec"].get("containers") or [{}]
    return RolloutState(
        name=metadata["name"],
        component=component.name,
        desired=status.get("desiredNumberScheduled", 0),
        current=status.get("currentNumberScheduled", 0),
        ready=status.get("numberReady", 0),
        updated=status.get("updatedNumberScheduled", 0),
        image=next((c["image"] for c in containers if c.get("name") == component.name), ""),
        observed=status.get("observedGeneration", 0) >= metadata.get("generation", 0),
        ours=_labels(daemonset).get("app.kubernetes.io/managed-by") == FIELD_MANAGER,
    )


def _kept_addresses(endpointslices: Iterable[dict]) -> list[str]:
    """Return the addresses that a run of ours keeps in the Service ``kubernetes``."""
    return [
        address
        for one in endpointslices
        if one["metadata"]["name"] == ADDRESS_SLICE
        for endpoint in one.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]


def _journal(configmaps: Iterable[dict]) -> tuple[dict, bool]:
    """The journal's content, and whether there is one that can't be understood."""
    for one in configmaps:
        if one["metadata"]["name"] != JOURNAL:
            continue
        try:
            content = json.loads((one.get("data") or {}).get("journal.json", ""))
        except (ValueError, RecursionError):
            return {}, True
        good = isinstance(content, dict) and isinstance(content.get("runs", []), list)
        return (content, False) if good else ({}, True)
    return {}, False


def _is_agent(pod: dict) -> bool:
    return AGENT_LABELS.items() <= _labels(pod).items()


def _agent(pod: dict) -> AgentPod:
    phase, _ = phase_and_restarts(pod)
    return AgentPod(pod["metadata"]["name"], pod["spec"].get("nodeName", ""), phase)


def _annotations(thing: dict) -> dict[str, str]:
    return thing["metadata"].get("annotations") or {}


def _labels(thing: dict) -> dict[str, str]:
    return thing["metadata"].get("labels") or {}
