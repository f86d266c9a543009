"""The steps of ``kubeadm alpha selfhosting pivot`` 1.20, for the benchmark to compare with.

This is our code, not kubeadm's: kubeadm dropped the command in 1.21, and it runs on no cluster of
today. The differences are those that make it run on one: the label and the taint have their new
name, and the containers' ``ports`` are left out (they reserve the port on the node, and the pod
would never be placed; kubeadm 1.20 wrote none). So probes that name a port get its number. All else
is as it was: no sharing of ports, no wait for the port, "Running" taken for up, the manifest
deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bed.command import say
from bed.harness import Bed
from kubectl_selfhost.cluster.errors import ApiError, NotFound
from kubectl_selfhost.cluster.kinds import DAEMONSETS, PODS
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.pod import flags, staticpod
from kubectl_selfhost.controlplane.pod.defaults import actions, containers
from kubectl_selfhost.names import CONTROL_PLANE_LABEL, NAMESPACE

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster

MANIFESTS = "/etc/kubernetes/manifests"
EVERY = 0.5  # seconds between two looks of each wait, as in kubeadm
LIMIT = 120.0  # seconds for each wait, as in kubeadm
#: Seconds before each further attempt to create the DaemonSet, as in kubeadm.
AGAIN = (5.0, 10.0, 20.0, 40.0)
#: Fields that only a pod in the API has, not the manifest on the node.
ONLY_IN_THE_API = ("nodeName", "priority", "preemptionPolicy", "schedulerName")


class TookTooLong(Exception):
    """A wait reached kubeadm's limit: kubeadm would end here, and leave everything as it is."""


def pivot(bed: Bed, cluster: Cluster, *, late: float = 0.0) -> dict[str, float]:
    """Pivot the only control-plane node of ``bed``; return the seconds that each component took.

    ``late``: seconds between "Running" and the deletion of the apiserver's manifest, as on a busy
    machine. Raise TookTooLong and ApiError.
    """
    node, took = bed.node, {}
    # Read all manifests beforehand: kubeadm reads them from the node's disk, whatever the API does.
    pods = {one: cluster.get(PODS, one.mirror_pod(node), NAMESPACE) for one in COMPONENTS}
    for component, pod in pods.items():
        began = time.monotonic()
        _switch(bed, cluster, component, pod, late=late if component == APISERVER else 0.0)
        took[component.name] = time.monotonic() - began
        say(f"  {component}: {took[component.name]:.1f} s")
    return took


def _switch(bed: Bed, cluster: Cluster, component: Component, pod: dict, *, late: float) -> None:
    mirror = pod["metadata"]["name"]
    _create(cluster, daemonset(component, pod))
    _wait(lambda: _runs(cluster, component), f"the pod of {component.daemonset} to run")
    time.sleep(late)
    bed.node_exec("rm", f"{MANIFESTS}/{component}.yaml")
    _wait(lambda: _is_gone(cluster, mirror), f"the pod {mirror} to go")
    _wait(lambda: cluster.raw("GET", "/healthz")[0] == 200, "/healthz to say ok")


def daemonset(component: Component, static_pod: dict) -> dict:
    """Return the DaemonSet (apps/v1) that kubeadm would make of a static pod, given its mirror."""
    spec = staticpod.from_mirror_pod(static_pod)["spec"]
    for name in ONLY_IN_THE_API:
        spec.pop(name, None)
    _number_ports(spec)
    if component == APISERVER:
        container = staticpod.component_container(static_pod | {"spec": spec})
        source = {"fieldRef": {"fieldPath": "status.hostIP"}}
        container.setdefault("env", []).append({"name": "HOST_IP", "valueFrom": source})
        flags.with_flag(container, "advertise-address", "$(HOST_IP)")
    spec["nodeSelector"] = {CONTROL_PLANE_LABEL: ""}
    spec["tolerations"] = [{"key": CONTROL_PLANE_LABEL, "effect": "NoSchedule"}]
    spec["dnsPolicy"] = "ClusterFirstWithHostNet"
    labels = {"k8s-app": component.daemonset}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": component.daemonset, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def _number_ports(spec: dict) -> None:
    for container in containers(spec):
        ports = {one.get("name"): one["containerPort"] for one in container.pop("ports", [])}
        for _, action in actions(container):
            target = action.get("httpGet", {})
            target["port"] = ports.get(target.get("port"), target.get("port"))


def _create(cluster: Cluster, manifest: dict) -> None:
    for pause in AGAIN:
        try:
            cluster.create(DAEMONSETS, manifest)
            return
        except ApiError:
            time.sleep(pause)
    cluster.create(DAEMONSETS, manifest)


def _runs(cluster: Cluster, component: Component) -> bool:
    """Return whether the component is up as kubeadm sees it: by the pod's phase, so a crashed
    container counts too.
    """
    pods = cluster.list(PODS, NAMESPACE, labels=f"k8s-app={component.daemonset}")
    return bool(pods) and all(pod["status"].get("phase") == "Running" for pod in pods)


def _is_gone(cluster: Cluster, pod: str) -> bool:
    try:
        cluster.get(PODS, pod, NAMESPACE)
    except NotFound:
        return True
    return False


def _wait(look: Callable[[], bool], what: str) -> None:
    """Wait until ``look`` succeeds; errors of the API are waited out, as in kubeadm."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            if look():
                return
        except ApiError:
            pass
        if time.monotonic() > deadline:
            raise TookTooLong(f"waited {LIMIT:.0f} s for {what}")
        time.sleep(EVERY)
