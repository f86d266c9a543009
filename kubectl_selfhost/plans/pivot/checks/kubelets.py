"""The checks of each node: its kubelet's settings, its CPU, its free room."""

from __future__ import annotations

from kubectl_selfhost.cluster.kinds import PODS
from kubectl_selfhost.controlplane.values import resources
from kubectl_selfhost.engine.preflight import FAILED, OK, Finding, ok
from kubectl_selfhost.node import binaries
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.plans.pivot.checks.look import Look
from kubectl_selfhost.plans.pivot.node import NodePivot
from kubectl_selfhost.plans.shared.situation import (
    NO_POD_CGROUPS,
    SET_CGROUPS,
    WHY_CGROUPS,
)


def path(look: Look) -> Finding:
    paths = [look.kubelet(node).static_pod_path for node in look.nodes()]
    return ok(
        "StaticPodPath", f"the kubelet reads static pods from {', '.join(dict.fromkeys(paths))}"
    )


def pod_cgroups(look: Look) -> Finding:
    without = [node for node in look.nodes() if not look.kubelet(node).pod_cgroups]
    if not without:
        return ok("PodCgroups", "the kubelet gives each pod a cgroup")
    return Finding(
        "PodCgroups",
        FAILED,
        "; ".join(NO_POD_CGROUPS.format(node=node) for node in without),
        WHY_CGROUPS,
        SET_CGROUPS,
    )


def architecture(look: Look) -> Finding:
    kinds = {n: look.situation.node(n)["status"]["nodeInfo"]["architecture"] for n in look.nodes()}
    unknown = [node for node, arch in kinds.items() if arch not in binaries.ARCHITECTURES]
    for arch in kinds.values() if not unknown else ():
        binaries.secret_name(arch)  # raises where this build carries none
    if not unknown:
        known = ", ".join(dict.fromkeys(kinds.values()))
        return ok("Architecture", f"there is a node agent for {known}")
    return Finding(
        "Architecture",
        FAILED,
        f"the CPU of node {unknown[0]} is {kinds[unknown[0]]}",
        f"there are node agents for {', '.join(binaries.ARCHITECTURES)} only",
        "Use a build of kubectl-selfhost that has a node agent for this CPU.",
    )


def head_room(look: Look) -> Finding:
    found = [_room_on(look, one) for one in look.pivot.nodes]
    return next((one for one in found if one.result != OK), found[0])


def _room_on(look: Look, part: NodePivot) -> Finding:
    node = part.node
    pods = look.cluster.list(PODS, fields=f"spec.nodeName={node}")
    free_cpu, free_memory = resources.headroom(look.situation.node(node), pods)
    specs = [
        look.pivot.groups.daemonset(component)["spec"]["template"]["spec"]
        for component in look.pivot.groups.to_switch(part)
    ]
    needed = [resources.requests(one) for one in (*specs, agent_pod.manifest(part.target)["spec"])]
    cpu, memory = (sum(amounts) for amounts in zip(*needed, strict=True))
    wanted = f"{cpu}m CPU and {memory // 2**20}Mi memory"
    free = f"{free_cpu}m and {free_memory // 2**20}Mi"
    if cpu <= free_cpu and memory <= free_memory:
        return ok("HeadRoom", f"the second instances request {wanted}; free are {free}")
    return Finding(
        "HeadRoom",
        FAILED,
        f"the second instances request {wanted}, but node {node} has {free} left",
        "old and new instances run side by side for a while, and the new pods would stay Pending",
        "Move pods to other nodes (`kubectl drain` spares DaemonSets), or lower requests.",
    )
