"""From a DaemonSet back to a static pod."""

from __future__ import annotations

from copy import deepcopy

import pytest
from fakes.pods import for_any, static_pods

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER, Component
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.change import Change, changed
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.daemonset.to_static_pod import (
    from_daemonset,
    other_probe_address,
)
from kubectl_selfhost.controlplane.pod import difference, flags, staticpod
from kubectl_selfhost.controlplane.pod.defaults import actions, with_defaults
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION

AGENT = AgentFacts("amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost")
SHARING = "spec.containers[{}].command --permit-port-sharing was added: true"


def built(component: Component, pod: dict) -> dict:
    address = staticpod.advertise_address(pod) or "10.0.0.11"
    node = NodeFacts("cp-1", address, address, "amd64")
    return build(component, pod, nodes=[node], agent=AGENT)


def as_the_api_shows_it(daemonset: dict) -> dict:
    """Return the DaemonSet, its template with every default written out."""
    template = daemonset["spec"]["template"]
    spec = with_defaults({"spec": template["spec"]})["spec"]
    spec.pop("priority", None)
    shown = {"metadata": {**template["metadata"], "creationTimestamp": None}, "spec": spec}
    return {**daemonset, "spec": {**daemonset["spec"], "template": shown}}


def differences(pod: dict, reverted: dict) -> list[str]:
    return [str(one) for one in difference.meaning(pod, reverted)]


def address(pod: dict) -> str:
    return staticpod.advertise_address(pod) or ""


def test_there_and_back_it_means_the_same(manifest, version, component) -> None:
    pod = manifest(version, component)
    shown = as_the_api_shows_it(built(component, pod))
    back = from_daemonset(component, shown, pod, address=address(pod))
    assert differences(pod, back) == [SHARING.format(component)]


@pytest.mark.parametrize("kept", [True, False])
def test_kubeadm_finds_the_address_where_a_daemonset_of_several_nodes_could_not_say_it(
    manifest, kept: bool
) -> None:
    """kubeadm reset and upgrade read it from the pod; without it they take the node for a worker."""
    pod = manifest("1.37", APISERVER)
    own = address(pod)
    nodes = [
        NodeFacts("cp-1", own, own, "amd64"),
        NodeFacts("cp-2", "10.0.0.9", "10.0.0.9", "amd64"),
    ]
    daemonset = build(APISERVER, pod, nodes=nodes, agent=AGENT)
    template = daemonset["spec"]["template"]
    assert ADVERTISE_ADDRESS_ANNOTATION not in template["metadata"].get("annotations", {})
    back = from_daemonset(APISERVER, daemonset, pod if kept else None, address=own)
    assert back["metadata"]["annotations"][ADVERTISE_ADDRESS_ANNOTATION] == f"{own}:6443"


def test_a_volume_may_be_called_secret(manifest) -> None:
    pod = manifest("1.37", SCHEDULER)
    pod["spec"]["volumes"].append({"name": "secret", "hostPath": {"path": "/x"}})
    assert from_daemonset(SCHEDULER, built(SCHEDULER, pod), pod)
    pod["spec"]["volumes"].append({"name": "x", "secret": {"secretName": "x"}})
    with pytest.raises(SelfhostError, match="secret"):
        from_daemonset(SCHEDULER, built(SCHEDULER, pod), pod)


@for_any(static_pods())
def test_whatever_people_have_patched(pod) -> None:
    component = staticpod.component_of(pod)
    pod["spec"]["volumes"] = [v for v in pod["spec"]["volumes"] if _is_static(v)]
    for one in [*pod["spec"]["containers"], *pod["spec"]["initContainers"]]:
        one.pop("envFrom", None)
    back = from_daemonset(component, built(component, pod), pod, address="10.0.0.11")
    alone = beside.one_at_a_time(component, pod)
    assert differences(pod, back) == ([] if alone else [SHARING.format(component)])


def _is_static(volume: dict) -> bool:
    return not {"configMap", "projected"} & set(volume)


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_without_a_backup_kubeadm_would_have_written_it_so(manifest, component) -> None:
    pod = manifest("1.30", component)
    back = from_daemonset(component, built(component, pod), address=address(pod))
    assert differences(pod, back) == [SHARING.format(component)]


def test_a_change_since_the_pivot_is_kept(manifest) -> None:
    pod = manifest("1.37", SCHEDULER)
    change = Change(image="registry/new:1", flags={"v": ["4"]}, without=("leader-elect",))
    daemonset = changed(built(SCHEDULER, pod), SCHEDULER, change, now="2026-11-24T12:00:00Z")
    container = from_daemonset(SCHEDULER, daemonset, pod)["spec"]["containers"][0]
    found = flags.of_container(container)
    assert container["image"] == "registry/new:1"
    assert (found["v"], "leader-elect" in found) == ("4", False)


def test_nothing_of_ours_is_left(manifest, version, component) -> None:
    pod = manifest(version, component)
    daemonset = changed(built(component, pod), component, Change(), now="2026-11-24T12:00:00Z")
    assert "selfhost" not in str(from_daemonset(component, daemonset, pod, address="10.0.0.11"))


def test_it_can_be_probed_where_its_daemonset_is_not(manifest) -> None:
    pod = manifest("1.37", APISERVER)
    daemonset = built(APISERVER, pod)
    host = other_probe_address(daemonset)
    back = from_daemonset(APISERVER, daemonset, pod, address=address(pod), probe_host=host)
    assert hosts(back) == {"127.0.0.3"}
    again = built(APISERVER, back)
    assert hosts(again["spec"]["template"]) == {"127.0.0.2"}
    again = from_daemonset(APISERVER, again, pod, probe_host="127.0.0.2")
    assert hosts(built(APISERVER, again)["spec"]["template"]) == {"127.0.0.3"}


def hosts(pod: dict) -> set[str]:
    return {handler["httpGet"]["host"] for _, handler in actions(pod["spec"]["containers"][0])}


def by_kubeadm(component: Component, pod: dict) -> dict:
    """Return the DaemonSet as kubeadm 1.20 made it (cmd/kubeadm/app/phases/selfhosting)."""
    spec = deepcopy(pod["spec"])
    container = spec["containers"][0]
    if component == APISERVER:
        flags.with_flag(container, "advertise-address", "$(HOST_IP)")
        source = {"fieldRef": {"fieldPath": "status.hostIP"}}
        container["env"] = [{"name": "HOST_IP", "valueFrom": source}]
    spec["nodeSelector"] = {"node-role.kubernetes.io/control-plane": ""}
    spec["tolerations"] = [{"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}]
    spec["dnsPolicy"] = "ClusterFirstWithHostNet"
    labels = {"k8s-app": component.daemonset}
    return {
        "metadata": {"name": component.daemonset, "labels": labels},
        "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
    }


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_what_kubeadm_pivoted_is_as_before(manifest, component) -> None:
    pod = manifest("1.20", component)
    back = from_daemonset(component, by_kubeadm(component, pod), address=address(pod))
    found = [one for one in differences(pod, back) if ADVERTISE_ADDRESS_ANNOTATION not in one]
    assert found == [SHARING.format(component)]
    if component == APISERVER:
        host = "127.0.0.2"
        daemonset = by_kubeadm(component, pod)
        assert hosts(from_daemonset(component, daemonset, probe_host=host)) == {host}


def test_the_port_has_its_name_again(manifest) -> None:
    pod = manifest("1.37", APISERVER)
    back = from_daemonset(APISERVER, built(APISERVER, pod), pod, address=address(pod))
    container = back["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": 6443, "name": "probe-port"}]
    assert {h["httpGet"]["port"] for _, h in actions(container)} == {"probe-port"}


@pytest.mark.parametrize(
    "volume", [{"configMap": {"name": "a"}}, {"secret": {"secretName": "apiserver-certs"}}]
)
def test_what_only_the_api_has_is_refused(manifest, volume) -> None:
    daemonset = built(SCHEDULER, manifest("1.37", SCHEDULER))
    daemonset["spec"]["template"]["spec"]["volumes"].append({"name": "x", **volume})
    with pytest.raises(SelfhostError, match="A static pod can't do that"):
        from_daemonset(SCHEDULER, daemonset)
