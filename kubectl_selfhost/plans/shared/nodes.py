"""The control-plane nodes on which a run works: which, in what order, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.controlplane.daemonset.facts import NodeFacts
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.controlplane.pod import staticpod, truth
from kubectl_selfhost.controlplane.values import addresses, hosts
from kubectl_selfhost.controlplane.values.addresses import same_address
from kubectl_selfhost.controlplane.values.hosts import ONLY_HOST, Hosts
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import CONTROL_PLANE_LABEL
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation

_BY = {STATIC: "static pod", DAEMONSET: "DaemonSet"}


def chosen(situation: Situation, names: Iterable[str] = (), *, server: str = "") -> list[str]:
    """Return the nodes to work on, in their order: by name, and the node whose apiserver answers us
    last.

    ``names`` are the nodes that were asked for (empty: every node that runs a control plane),
    ``server`` is the URL of the API server in use. A node that has the role's label and runs no
    component is left alone. Raise SelfhostError for a name that is no control-plane node.
    """
    known = situation.node_names
    wanted = set(names)
    for name in sorted(wanted - set(known)):
        raise SelfhostError(
            f'"{name}" is not a control-plane node of this cluster.',
            f"The control-plane nodes are: {', '.join(sorted(known)) or 'none'}.",
        )
    running = [name for name in known if runs(situation, name)]
    # If nothing runs at all, every node is reported with what is missing.
    found = [name for name in known if name in (wanted or running or known)]
    return sorted(found, key=lambda name: (_is_at(situation, name, server), name))


def runs(situation: Situation, node: str) -> bool:
    """Return whether any component has an instance on ``node``, or a recovery copy stands in for
    one.
    """
    return any(
        situation.instances(component, node) or situation.stands_in(component, node)
        for component in COMPONENTS
    )


def served(situation: Situation) -> list[tuple[str, str, str]]:
    """Return what runs where: (component, by whom, on which node)."""
    rows = []
    for name in situation.node_names:
        for component in COMPONENTS if runs(situation, name) else ():
            ready = [i for i in situation.instances(component, name) if i.ready]
            by = " and ".join(_BY[i.kind] for i in ready)
            rows.append((component.name, by or "none", name))
    return rows


def left_alone(situation: Situation) -> list[str]:
    """Return nodes that have the role's label and run no component."""
    return [name for name in situation.node_names if not runs(situation, name)]


def target(situation: Situation, node: str, kubelet: Kubelet) -> NodeTarget:
    """Return where the agent of ``node`` works, and the image in which it runs: the apiserver's
    own.
    """
    pods = _apiservers(situation, node)
    if not pods:
        raise SelfhostError(
            f"There is no kube-apiserver pod on node {node}.",
            "`kubectl selfhost status` shows what runs on the control-plane nodes.",
        )
    return NodeTarget(
        node=node,
        arch=situation.node(node)["status"]["nodeInfo"]["architecture"],
        image=truth.image_on_node(pods[0], staticpod.component_container(pods[0])),
        static_pod_path=kubelet.static_pod_path,
        pod_logs_dir=kubelet.pod_logs_dir,
    )


def facts(situation: Situation, node: str) -> NodeFacts:
    """Return the node's facts, as DaemonSets and recovery copies need them."""
    found = situation.node(node)
    address = host_ip(situation, node)
    mirror = situation.mirror_pod(APISERVER, node)
    advertised = staticpod.advertise_address(mirror) if mirror else None
    if mirror is None and _apiservers(situation, node):
        advertised = advertise_address(situation, node)
    return NodeFacts(
        name=node,
        host_ip=address,
        advertise_address=advertised,
        arch=found["status"]["nodeInfo"]["architecture"],
        role=found["metadata"].get("labels", {}).get(CONTROL_PLANE_LABEL, ""),
    )


def advertise_address(situation: Situation, node: str) -> str:
    """Return the address of the node's apiserver in the Service ``kubernetes``."""
    pods = _apiservers(situation, node)
    told = staticpod.advertise_address(pods[0]) if pods else None
    return told or host_ip(situation, node)


def host_ip(situation: Situation, node: str) -> str:
    """Return the node's address that its host-network pods have as ``status.hostIP``."""
    return addresses.host_ip(situation.node(node), situation.pods)


def are_several(situation: Situation) -> bool:
    """Return whether the control plane runs on more than one node."""
    return sum(runs(situation, name) for name in situation.node_names) > 1


def host_names(situation: Situation, node: str) -> Hosts:
    """Return what tells the host of ``node`` from the others' in a lease; nothing for a lone node."""
    return hosts.among(node, situation.nodes) if are_several(situation) else ONLY_HOST


def _apiservers(situation: Situation, node: str) -> list[dict]:
    return situation.pods_of(APISERVER, node)


def _is_at(situation: Situation, node: str, server: str) -> bool:
    """Return whether ``server`` is the node's own address (a load balancer's address is no node's)."""
    host = urlsplit(server).hostname or ""
    if not host:
        return False
    found = situation.node(node)
    known = [one["address"] for one in found["status"].get("addresses", [])]
    if _apiservers(situation, node):
        known.append(advertise_address(situation, node))
    return any(host == one or same_address(host, one) for one in known)
