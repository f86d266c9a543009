"""From API objects to the state of the control plane. This module is pure: it fetches nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kubectl_selfhost.controlplane.component import COMPONENTS, Component, group_of
from kubectl_selfhost.controlplane.daemonset import in_secrets
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.controlplane.instance import Instance, instances_of, kind_of
from kubectl_selfhost.controlplane.leader import Leader, holder, leader_of, newest_renewal
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.pod.status import phase_and_restarts
from kubectl_selfhost.controlplane.program import Carrier
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.controlplane.values import hosts
from kubectl_selfhost.controlplane.values.addresses import host_ip
from kubectl_selfhost.health.state import AgentPod, ControlPlane, NodeState, RolloutState
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
    """Return the control plane that these API objects of kube-system (and nodes) show.

    Other objects are ignored. A node counts if it has the role label; a node that is not among
    ``nodes`` counts if it has an instance. ``own_programs`` are the names of the Secrets with this
    build's programs.
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
    """Return the components, each with the lease that its pods among ``pods`` use."""
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
    """Return the leader of each component. Leave out a component without a leader, or with an
    unknown lease.

    A configuration file on the node may name another lease than the flags, or switch the election
    off. For such a component only a lease that is renewed proves something.
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
    mine: dict = next((one for one in containers if one.get("name") == component.name), {})
    return RolloutState(
        name=metadata["name"],
        component=component.name,
        desired=status.get("desiredNumberScheduled", 0),
        current=status.get("currentNumberScheduled", 0),
        ready=status.get("numberReady", 0),
        updated=status.get("updatedNumberScheduled", 0),
        image=mine.get("image", ""),
        observed=status.get("observedGeneration", 0) >= metadata.get("generation", 0),
        ours=_labels(daemonset).get("app.kubernetes.io/managed-by") == FIELD_MANAGER,
        in_secrets=in_secrets.is_in_secrets(daemonset),
        emulates=course.emulates(mine),
    )


def _kept_addresses(endpointslices: Iterable[dict]) -> list[str]:
    """Return the addresses that a run keeps in the Service ``kubernetes``."""
    return [
        address
        for one in endpointslices
        if one["metadata"]["name"] == ADDRESS_SLICE
        for endpoint in one.get("endpoints") or []
        for address in endpoint.get("addresses") or []
    ]


def _journal(configmaps: Iterable[dict]) -> tuple[dict, bool]:
    """Return the journal's content, and whether the journal is damaged."""
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
