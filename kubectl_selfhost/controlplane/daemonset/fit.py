"""Whether a DaemonSet can run what a static pod runs, and on which nodes."""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.values.addresses import same_address
from kubectl_selfhost.errors import SelfhostError

_LOOPBACK = ("127.0.0.1", "::1")


def require_fit(component: Component, static_pod: dict) -> None:
    """Raise SelfhostError if no DaemonSet can run ``component`` as ``static_pod`` does, on any node."""
    if not static_pod["spec"].get("hostNetwork"):
        raise SelfhostError(
            f"The static pod {component} does not use its node's network (hostNetwork).",
            "kubectl selfhost pivots only control planes in the form that kubeadm creates.",
        )
    component_flags.require_program(staticpod.component_container(static_pod))
    if staticpod.secure_port(static_pod, component) == 0:
        raise SelfhostError(
            f"{component} serves no port (--secure-port=0), so nothing shows whether a new instance "
            "works.",
            "Remove this flag from its manifest on the node.",
        )


def is_each_nodes_own(component: Component, static_pod: dict, node: NodeFacts) -> bool:
    """Return whether the static pod of ``node`` can't share a DaemonSet, because it has an own
    address that a pod can't read from its node.
    """
    bound = staticpod.bind_address(static_pod, component)
    elsewhere = component == APISERVER and not advertises_host_ip(node)
    return elsewhere or not (staticpod.is_wildcard(bound) or bound in _LOOPBACK)


def advertises_host_ip(node: NodeFacts) -> bool:
    return node.advertise_address is not None and same_address(node.advertise_address, node.host_ip)


def refuse_what_cannot_be(
    component: Component, static_pod: dict, nodes: Sequence[NodeFacts], agent: AgentFacts
) -> None:
    for node in nodes:
        if node.arch != agent.arch:
            raise SelfhostError(
                f"The CPU of node {node.name} ({node.arch}) differs from the CPU of the node agent's "
                f"program ({agent.arch})."
            )
    if len(nodes) > 1:
        _refuse_per_node_addresses(component, static_pod, nodes)


def _refuse_per_node_addresses(
    component: Component, static_pod: dict, nodes: Sequence[NodeFacts]
) -> None:
    bound = staticpod.bind_address(static_pod, component)
    if not staticpod.is_wildcard(bound) and bound not in _LOOPBACK:
        raise SelfhostError(
            f"{component} listens on one address ({bound}). Several nodes can't share this address."
        )
    for node in nodes if component == APISERVER else ():
        if not advertises_host_ip(node):
            raise SelfhostError(
                f"The kube-apiserver of node {node.name} advertises "
                f"{node.advertise_address or 'an unknown address'}, not the node's own address "
                f"({node.host_ip}). So one DaemonSet can't run it on several nodes."
            )
