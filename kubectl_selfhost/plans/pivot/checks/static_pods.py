"""The checks of the static pods, and whether DaemonSets can run the same."""

from __future__ import annotations

from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset import in_secrets
from kubectl_selfhost.controlplane.daemonset.fit import require_fit
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.engine.preflight import FAILED, Finding, ok
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import leadership
from kubectl_selfhost.handover.conditions import api_is_ready
from kubectl_selfhost.handover.ways import AUTO
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.plans.pivot.checks.look import Look, problems
from kubectl_selfhost.plans.shared import nodes

_NOT_KUBEADMS = (
    "kubectl selfhost works with control planes that kubeadm created: static pods of the kubelet"
)


def static_pods(look: Look) -> Finding:
    names = look.nodes()
    if not any(nodes.runs(look.situation, name) for name in names):
        return Finding(
            "StaticPods",
            FAILED,
            f"no static pod of a control plane on {', '.join(names)}",
            _NOT_KUBEADMS,
            f"`kubectl -n {NAMESPACE} get pods -o wide` shows what runs there.",
        )
    problems = _unhealthy(look)
    if problems:
        return Finding(
            "StaticPods",
            FAILED,
            "; ".join(problems),
            "a run changes only a healthy control plane",
            f"Fix this first. (The check waited for --timeout={look.options.timeout:g}s.)",
            blocks=bool(_missing(look)),
        )
    for node, component in _cells(look):
        mirror = look.situation.mirror_pod(component, node)
        if mirror is not None:
            require_fit(component, staticpod.from_mirror_pod(mirror))
    if not_ready := _api_problem(look):
        return not_ready
    return ok("StaticPods", "the components are Ready and the API server answers")


def _cells(look: Look) -> list[tuple[str, Component]]:
    return [(node, c) for node in look.nodes() for c in look.options.components]


def _unhealthy(look: Look) -> list[str]:
    return [p for node, c in _cells(look) for p in problems(look.situation, c, node)]


def _missing(look: Look) -> list[str]:
    """Return the nodes on which a component has neither a static pod nor a DaemonSet's pod that
    serves.
    """
    return [
        node
        for node, component in _cells(look)
        if problems(look.situation, component, node)
        and look.situation.mirror_pod(component, node) is None
    ]


def _api_problem(look: Look) -> Finding | None:
    try:
        api_is_ready(look.cluster)
    except Waiting as reason:
        return Finding(
            "StaticPods",
            FAILED,
            str(reason),
            "a run changes only a healthy control plane",
            "`kubectl get --raw='/readyz?verbose'` shows the failing checks.",
        )
    return None


def nodes_alike(look: Look) -> Finding:
    if len(look.nodes()) == 1 and not nodes.are_several(look.situation):
        look.pivot.groups.daemonsets()
        return ok("NodesAlike", "there is only one node")
    try:
        found, can_be_built = look.pivot.groups.differences(), True
    except SelfhostError as error:
        found, can_be_built = [error.message.rstrip(".")], False
    if can_be_built and not look.options.separate:
        stored = [one for one in look.pivot.groups.daemonsets() if in_secrets.is_in_secrets(one)]
        if stored:
            return Finding(
                "NodesAlike",
                FAILED,
                "DaemonSets whose pods read their credentials from Secrets have none of a new node",
                "a pod would find no credentials there",
                "Run `kubectl selfhost credentials to-host`, then `kubectl selfhost pivot`, then "
                "`kubectl selfhost credentials to-secrets`.",
            )
    if found:
        return Finding(
            "NodesAlike",
            FAILED,
            "; ".join(found),
            "one DaemonSet runs a component in the same way on all nodes",
            "Make the manifests alike, or create separate DaemonSets for nodes that differ: "
            "--when-nodes-differ=separate.",
            blocks=not can_be_built,
        )
    separate = look.pivot.groups.separate()
    if separate:
        named = [", ".join(names) for names in separate.values()]
        return ok("NodesAlike", f"DaemonSets of their own get {'; and '.join(named)}")
    return ok("NodesAlike", "one DaemonSet for each component fits every node")


def leader_election(look: Look) -> Finding:
    """Check that the lease is known that shows each component's leader."""
    by_file = [
        (component, node, staticpod.leads_by_file(mirror, component))
        for node, component in _cells(look)
        if (mirror := look.situation.mirror_pod(component, node)) is not None
    ]
    for component, node, file in by_file:
        if file and not leadership.is_held(look.cluster, component):
            return Finding(
                "LeaderElection",
                FAILED,
                f"{component} on {node} reads --config={file}, and nobody renews the lease "
                f"{component.lease_namespace}/{component.lease}",
                "the file may name another lease, or switch the election off. This check can't read "
                "the file, and the run must see the new instance lead",
                "Add to the manifest either --leader-elect=true and "
                "--leader-elect-resource-name=NAME, or --leader-elect=false. Flags override "
                "the file.",
            )
    own = dict.fromkeys(look.situation.own(c, node) for node, c in _cells(look))
    leases = [f"{c.lease_namespace}/{c.lease}" for c in own if c.lease]
    return ok("LeaderElection", f"leaders hold {', '.join(leases) or 'no lease'}")


def advertise_address(look: Look) -> Finding:
    found = [_advertised(look, node) for node in look.nodes()]
    return ok("AdvertiseAddress", "; ".join(found))


def _advertised(look: Look, node: str) -> str:
    mirror = look.situation.mirror_pod(APISERVER, node)
    if mirror is None:
        return "kube-apiserver is self-hosted already"
    address = staticpod.advertise_address(mirror)
    node_address = nodes.host_ip(look.situation, node)
    if address in (None, node_address):
        return f"{address or node_address}, the node's own address"
    return f"{address} is not the node's address {node_address}: the DaemonSet keeps {address}"


def side_by_side(look: Look) -> Finding:
    pods = [(one, one.static_pod(c), c) for one in look.pivot.nodes for c in one.static]
    found = {
        problem: one.node
        for one, pod, component in pods
        if component == APISERVER
        for problem in beside.conflicts(component, pod)
    }
    if found:
        return Finding(
            "SideBySide",
            FAILED,
            f"kube-apiserver on {next(iter(found.values()))}: {'; '.join(found)}",
            "two instances run side by side after each reboot of the node (the recovery copy and the "
            "DaemonSet's pod), in a rollout, and in a revert",
            "Run that container as a separate static pod, then run this command again.",
        )
    alone = {c.name: why for _, pod, c in pods if (why := beside.one_at_a_time(c, pod))}
    if alone:
        said = "; ".join(f"{name}: {why}" for name, why in alone.items())
        return ok("SideBySide", f"one after the other: {said}")
    return ok("SideBySide", "two instances of each component can run side by side")


def handover(look: Look) -> Finding:
    try:
        by_node = [look.pivot.choices(one) for one in look.pivot.nodes]
    except SelfhostError as error:
        asked = look.options.handover != AUTO
        return Finding(
            "HandOver",
            FAILED,
            error.message,
            "--handover asks for this way" if asked else "",
            error.hint,
        )
    found = [
        ", ".join(f"{component} {choice.way}" for component, choice in choices.items())
        for choices in by_node
        if choices
    ]
    return ok("HandOver", "; ".join(dict.fromkeys(found)) or "no component is left to hand over")
