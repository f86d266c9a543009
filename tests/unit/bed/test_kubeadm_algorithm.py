"""The DaemonSets of the benchmark's reference, from mirror pods of real clusters."""

from __future__ import annotations

from bed.kubeadm_algorithm import daemonset

from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.pod.defaults import actions


def test_it_can_be_placed_beside_the_static_pod(version, component, mirror):
    made = daemonset(component, mirror(version, component))["spec"]["template"]
    container = made["spec"]["containers"][0]
    assert not {"nodeName", "priority"} & set(made["spec"])
    assert "ports" not in container
    probes = [one["httpGet"]["port"] for _, one in actions(container)]
    assert probes
    assert all(type(port) is int for port in probes)
    assert made["metadata"]["labels"] == {"k8s-app": f"self-hosted-{component}"}
    assert made["spec"]["hostNetwork"] is True
    words = container["command"]
    assert ("--advertise-address=$(HOST_IP)" in words) == (component == APISERVER)
    assert not any("permit-port-sharing" in word for word in words)
