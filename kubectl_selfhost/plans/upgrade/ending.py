"""The end of an upgrade: whether everything is of the version, and what is left to a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS, NODES
from kubectl_selfhost.cluster.waits import Waiting, wait_until
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.controlplane.values import addresses
from kubectl_selfhost.engine.step import Outcome, Step, looks_itself
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION, NAMESPACE
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import Situation, read_situation
from kubectl_selfhost.plans.upgrade import packages
from kubectl_selfhost.plans.upgrade.records import RecordSteps
from kubectl_selfhost.plans.upgrade.stage import container

_PACKAGES = (
    "The packages on the nodes are older. Nobody can change these from outside: run the commands below, "
    "one node after the other. The first `kubeadm upgrade apply` also upgrades CoreDNS and kubeadm's "
    "own objects."
)
_LEFT = "CoreDNS and etcd are what they were."


def verify(
    cluster: Cluster, target: Target, components: Sequence[Component], records: RecordSteps
) -> Step:
    """Return the step that checks the DaemonSets of ``components``, the API server and kube-proxy."""

    def check() -> bool:
        for component in components:
            now = container(cluster.get(DAEMONSETS, component.daemonset, NAMESPACE))
            if not course.is_there(now, component.name, target) or course.emulates(now):
                raise SelfhostError(
                    f"DaemonSet {component.daemonset} has the image {now.get('image')}, which is not "
                    f"that of {target.version}, or it emulates another version.",
                    "Somebody else changed it during the run. Run the command again.",
                )
        said = str(json.loads(cluster.raw("GET", "/version")[1]).get("gitVersion", ""))
        if Version.parse(said) != target.version:
            raise Waiting(f"the API server says {said}")
        return True

    def do() -> None:
        wait_until(check, what=f"the API to be of {target.version}", timeout=60.0)
        records.wait_for_kube_proxy()

    return Step(
        name="verify",
        title=f"Check that everything is of {target.version}",
        why="images, the API server's own word and kube-proxy's pods must agree",
        done=looks_itself,
        do=do,
    )


def outcome(cluster: Cluster, version: Version, *, first: Sequence[str]) -> Outcome:
    """Return what a person reads at the end; ``first`` are the control-plane nodes."""
    before = _annotations(read_situation(cluster), first)
    found = [(node["metadata"]["name"], _kubelet(node)) for node in cluster.list(NODES)]
    said = packages.commands(found, version, first=first, before=before)
    return Outcome(
        f"The control plane is of {version}.",
        [*([_PACKAGES] if said else []), _LEFT],
        [line for one in said for line in [*one.splitlines(), ""]][:-1],
    )


def _annotations(situation: Situation, names: Sequence[str]) -> dict[str, str]:
    """Return the commands that give API servers the annotation by which kubeadm knows their address,
    by node. A DaemonSet for several nodes can't have it in its template.
    """
    found = {}
    for name in names:
        for pod in situation.pods_of(APISERVER, name):
            annotations = pod["metadata"].get("annotations") or {}
            if ADVERTISE_ADDRESS_ANNOTATION not in annotations:
                address = addresses.in_url(nodes.advertise_address(situation, name))
                endpoint = f"{address}:{staticpod.secure_port(pod, APISERVER)}"
                found[name] = (
                    f"kubectl -n {NAMESPACE} annotate pod {pod['metadata']['name']} "
                    f"{ADVERTISE_ADDRESS_ANNOTATION}={endpoint}"
                )
    return found


def _kubelet(node: Mapping) -> Version | None:
    status = node.get("status") or {}
    return Version.parse(str((status.get("nodeInfo") or {}).get("kubeletVersion", "")))
