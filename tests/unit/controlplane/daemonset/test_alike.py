"""Whether one DaemonSet can run a component on all nodes."""

from __future__ import annotations

from copy import deepcopy

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER
from kubectl_selfhost.controlplane.daemonset import alike
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts

NODES = [NodeFacts(f"cp-{n}", f"10.0.0.1{n}", f"10.0.0.1{n}", "amd64") for n in (1, 2)]


@pytest.fixture
def two(manifest, agent: AgentFacts):
    """Return the DaemonSets that two nodes' manifests make, as kubeadm writes them on each."""

    def make(component, change=None):
        made = []
        for own in NODES:
            pod = deepcopy(manifest("1.30", component))
            for container in pod["spec"]["containers"]:
                container["command"] = [
                    word.replace("10.0.0.11", own.host_ip) for word in container["command"]
                ]
                for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                    target = container.get(probe, {}).get("httpGet", {})
                    if target.get("host") == "10.0.0.11":
                        target["host"] = own.host_ip
            if change is not None and own is NODES[1]:
                change(pod)
            made.append(build(component, pod, nodes=NODES, agent=agent))
        return made

    return make


def test_what_is_each_nodes_own_makes_no_difference(two):
    assert alike.differences(*two(APISERVER)) == []
    assert alike.differences(*two(SCHEDULER)) == []


def test_a_flag_is_told(two):
    change = lambda pod: pod["spec"]["containers"][0]["command"].append("--v=4")  # noqa: E731
    found = alike.differences(*two(SCHEDULER, change))
    assert [str(one) for one in found] == [
        "spec.containers[kube-scheduler].command --v was added: 4"
    ]


def test_an_image_is_told(two):
    def change(pod):
        pod["spec"]["containers"][0]["image"] = "registry.k8s.io/kube-scheduler:v1.30.9"

    found = [str(one) for one in alike.differences(*two(SCHEDULER, change))]
    assert any("v1.30.9" in one for one in found)


def test_where_a_roll_out_has_toggled_the_probes_address_is_no_difference(two):
    first, second = two(APISERVER)
    for container in second["spec"]["template"]["spec"]["containers"]:
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            container[probe]["httpGet"]["host"] = "127.0.0.3"
    assert alike.differences(first, second) == []
