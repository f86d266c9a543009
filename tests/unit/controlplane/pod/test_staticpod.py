"""From a mirror pod to the manifest that it came from."""

from __future__ import annotations

from copy import deepcopy

import pytest
from fakes.pods import for_any, static_pods

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
)
from kubectl_selfhost.controlplane.pod import difference, staticpod
from kubectl_selfhost.controlplane.pod.defaults import KUBELET_TOLERATION, with_defaults
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION


def shown(pod: dict, node: str = "CP-1") -> dict:
    """Return ``pod`` as the API would show its mirror."""
    mirror = with_defaults(pod)
    metadata, spec = mirror["metadata"], mirror["spec"]
    metadata["name"] += f"-{node.lower()}"
    metadata["uid"] = "b0b"
    metadata["ownerReferences"] = [{"kind": "Node", "name": node, "controller": True}]
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        "kubernetes.io/config.mirror": "1",
        "kubernetes.io/config.seen": "2026-01-01T00:00:00Z",
    }
    spec["nodeName"] = node
    spec["tolerations"] = [*spec.get("tolerations", []), KUBELET_TOLERATION]
    mirror["status"] = {"phase": "Running"}
    return mirror


def test_it_means_the_same_as_the_file(manifest, mirror, version, component) -> None:
    recovered = staticpod.from_mirror_pod(mirror(version, component))
    assert difference.meaning(recovered, manifest(version, component)) == []


def test_it_says_no_more_than_the_file(manifest, mirror, version, component) -> None:
    def leaves(value: object, path: str = "") -> set[str]:
        if isinstance(value, dict):
            return set().union(*(leaves(v, f"{path}.{k}") for k, v in value.items()))
        if isinstance(value, list):
            return set().union(*(leaves(v, f"{path}[{i}]") for i, v in enumerate(value)))
        return {f"{path}={value}"}

    recovered = staticpod.from_mirror_pod(mirror(version, component))
    more = leaves(recovered) - leaves(manifest(version, component))
    # kubeadm 1.20 wrote no number; the API server looked it up
    assert more <= {".spec.priority=2000001000"}


@for_any(static_pods())
def test_any_static_pod_is_had_back(pod: dict) -> None:
    assert difference.meaning(staticpod.from_mirror_pod(shown(pod)), pod) == []


@for_any(static_pods())
def test_a_manifest_passes_through(pod: dict) -> None:
    once = staticpod.from_mirror_pod(pod)
    assert staticpod.from_mirror_pod(once) == once
    assert difference.meaning(once, pod) == []


def test_the_mirror_is_not_changed(mirror) -> None:
    pod = mirror("1.37", APISERVER)
    before = deepcopy(pod)
    staticpod.from_mirror_pod(pod)
    assert pod == before


def test_the_name_loses_the_nodes_in_lower_case() -> None:
    pod = {"metadata": {"name": "kube-scheduler-cp-1"}, "spec": {"nodeName": "CP-1"}}
    assert staticpod.from_mirror_pod(pod)["metadata"]["name"] == "kube-scheduler"


def test_only_metadata_of_the_manifest_is_left(mirror) -> None:
    metadata = staticpod.from_mirror_pod(mirror("1.37", APISERVER))["metadata"]
    assert set(metadata) == {"name", "namespace", "labels", "annotations"}
    assert set(metadata["annotations"]) == {ADVERTISE_ADDRESS_ANNOTATION}


def test_topology_labels_of_the_node_go() -> None:
    labels = {"component": "x", "topology.kubernetes.io/zone": "a"}
    pod = {"metadata": {"name": "x", "labels": labels}, "spec": {}}
    assert staticpod.from_mirror_pod(pod)["metadata"]["labels"] == {"component": "x"}


def test_what_a_limit_range_set_goes() -> None:
    said = (
        "LimitRanger plugin set: cpu, memory request for container a; memory limit for container a"
    )
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    pod = {
        "metadata": {"name": "x", "annotations": {"kubernetes.io/limit-ranger": said}},
        "spec": {"containers": [{"name": "a", "resources": resources}, {"name": "b"}]},
    }
    recovered = staticpod.from_mirror_pod(pod)
    assert recovered["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}}
    assert "annotations" not in recovered["metadata"]


def test_a_port_of_its_own_on_the_host_stays() -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 81}]
    pod = {"spec": {"hostNetwork": True, "containers": [{"name": "a", "ports": ports}]}}
    kept = staticpod.from_mirror_pod(pod)["spec"]["containers"][0]["ports"]
    assert kept == [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]


def test_the_component_is_known(manifest, version, component) -> None:
    assert staticpod.component_of(manifest(version, component)) == component


def test_another_pod_is_no_component() -> None:
    assert staticpod.component_of({"spec": {"containers": [{"name": "etcd"}]}}) is None


def test_a_copy_under_another_name_is_no_component(manifest) -> None:
    """The labels and the containers are the copied ones."""
    copy = manifest("1.37", SCHEDULER)
    copy["metadata"]["name"] = "my-scheduler"
    assert staticpod.component_of(copy) is None
    assert staticpod.component_of(shown(copy)) is None


def test_a_static_pod_is_known_without_labels(manifest) -> None:
    pod = manifest("1.37", APISERVER)
    pod["metadata"]["labels"] = {"k8s-app": "kube-apiserver", "tier": "control-plane"}
    assert staticpod.component_of(pod) == APISERVER
    assert staticpod.component_of(shown(pod, node="kube-scheduler")) == APISERVER


def test_a_pod_of_another_namespace_is_no_component(manifest) -> None:
    pod = manifest("1.37", APISERVER)
    pod["metadata"]["namespace"] = "tenant-a"
    assert staticpod.component_of(pod) is None


def test_the_components_container_is_found_by_its_program() -> None:
    main = {"name": "server", "command": ["/usr/local/bin/kube-scheduler"]}
    pod = {"spec": {"containers": [{"name": "proxy", "args": ["--v=2"]}, main]}}
    assert staticpod.component_container(pod) == main


def test_the_components_container_is_found_beside_others() -> None:
    pod = {"spec": {"containers": [{"name": "proxy"}, {"name": "kube-scheduler"}]}}
    assert staticpod.component_container(pod) == {"name": "kube-scheduler"}


def test_no_component_among_several_containers() -> None:
    with pytest.raises(SelfhostError, match="has a component's name or program"):
        staticpod.component_container({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}})


def test_flags_of_kubeadms(manifest) -> None:
    found = staticpod.flags(manifest("1.30", APISERVER))
    assert found["audit-log-path"] == "-"
    assert found["v"] == "4"


@pytest.mark.parametrize(
    ("kubeadm", "which", "port"),
    [
        ("1.30", APISERVER, 6443),
        ("1.34", APISERVER, 443),
        ("1.37", CONTROLLER_MANAGER, 10257),
        ("1.37", SCHEDULER, 10259),
    ],
)
def test_secure_port(manifest, kubeadm, which, port) -> None:
    assert staticpod.secure_port(manifest(kubeadm, which), which) == port


def test_a_port_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(SelfhostError, match="not a port: https"):
        staticpod.secure_port(with_command("--secure-port=https"), APISERVER)


def with_command(*flags: str, component=APISERVER, **more: object) -> dict:
    container = {"name": component.name, "command": [component.name, *flags], **more}
    return {"spec": {"containers": [container]}}


@pytest.mark.parametrize("which", COMPONENTS)
def test_the_default_bind_address(which) -> None:
    assert staticpod.bind_address(with_command(component=which), which) == "0.0.0.0"


def test_kubeadms_scheduler_listens_on_loopback(manifest) -> None:
    assert staticpod.bind_address(manifest("1.37", SCHEDULER), SCHEDULER) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "wildcard"),
    [("0.0.0.0", True), ("::", True), ("", True), ("127.0.0.1", False), ("$(IP)", False)],
)
def test_wildcards(address, wildcard) -> None:
    assert staticpod.is_wildcard(address) is wildcard


def test_advertise_address_by_the_flag() -> None:
    assert staticpod.advertise_address(with_command("--advertise-address=10.0.0.1")) == "10.0.0.1"


def test_advertise_address_by_the_nodes_address() -> None:
    env = [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]
    pod = with_command("--advertise-address=$(HOST_IP)", env=env)
    pod["status"] = {"hostIP": "10.0.0.7"}
    assert staticpod.advertise_address(pod) == "10.0.0.7"


@pytest.mark.parametrize(
    ("endpoint", "address"), [("10.0.0.2:6443", "10.0.0.2"), ("[fd00::1]:6443", "fd00::1")]
)
def test_advertise_address_by_kubeadms_annotation(endpoint, address) -> None:
    pod = with_command()
    pod["metadata"] = {"annotations": {ADVERTISE_ADDRESS_ANNOTATION: endpoint}}
    assert staticpod.advertise_address(pod) == address


def test_advertise_address_by_the_bind_address() -> None:
    assert staticpod.advertise_address(with_command("--bind-address=10.0.0.3")) == "10.0.0.3"


def test_advertise_address_that_nothing_tells() -> None:
    assert staticpod.advertise_address(with_command()) is None


def test_advertise_endpoint_is_kubeadms(manifest) -> None:
    for version in ("1.20", "1.30", "1.34", "1.37"):
        pod = manifest(version, APISERVER)
        written = pod["metadata"]["annotations"][ADVERTISE_ADDRESS_ANNOTATION]
        assert staticpod.advertise_endpoint(pod) == written


def test_kubeadms_components_elect_a_leader_save_the_apiserver(manifest, version, component):
    elects = staticpod.leader_elects(manifest(version, component), component)
    assert elects is (component != APISERVER)


@pytest.mark.parametrize(
    ("flags", "elects"),
    [
        ([], True),
        (["--leader-elect"], True),
        (["--leader-elect=false"], False),
        (["--leader-elect=F"], False),
        (["--leader_elect=0"], False),
        (["--leader-elect=false", "--leader-elect=T"], True),
    ],
)
def test_leader_election(flags, elects) -> None:
    assert staticpod.leader_elects(with_command(*flags, component=SCHEDULER), SCHEDULER) is elects


@pytest.mark.parametrize(
    ("flag", "seconds"),
    [("", 2.0), ("26s", 26.0), ("500ms", 0.5), ("1m30s", 90.0), ("1h", 3600.0), ("soon", 2.0)],
)
def test_the_retry_period_of_the_leader_election(manifest, flag, seconds) -> None:
    pod = manifest("1.37", CONTROLLER_MANAGER)
    if flag:
        command = staticpod.component_container(pod)["command"]
        command.append(f"--leader-elect-retry-period={flag}")
    assert staticpod.retry_period(pod, CONTROLLER_MANAGER) == seconds


def test_there_is_none_without_an_election(manifest) -> None:
    pod = manifest("1.37", CONTROLLER_MANAGER)
    staticpod.component_container(pod)["command"].append("--leader-elect=false")
    assert staticpod.retry_period(pod, CONTROLLER_MANAGER) == 0.0
    assert staticpod.retry_period(manifest("1.37", APISERVER), APISERVER) == 0.0


@pytest.mark.parametrize(
    ("flags", "lease", "namespace"),
    [
        ([], "kube-scheduler", "kube-system"),
        (["--leader-elect-resource-name=my"], "my", "kube-system"),
        (["--leader_elect_resource_name", "my"], "my", "kube-system"),
        (["--leader-elect-resource-namespace=own"], "kube-scheduler", "own"),
        (["--leader-elect=false", "--leader-elect-resource-name=my"], None, "kube-system"),
    ],
)
def test_the_lease_is_the_one_that_the_flags_name(flags, lease, namespace) -> None:
    led = staticpod.led_as(with_command(*flags, component=SCHEDULER), SCHEDULER.of("b"))
    assert (led.lease, led.lease_namespace, led.group) == (lease, namespace, "b")
    assert led == SCHEDULER


@pytest.mark.parametrize(
    ("flags", "open_"),
    [
        ([], False),
        (["--config=/x"], True),
        (["--config=/x", "--leader-elect=true"], True),
        (["--config=/x", "--leader-elect-resource-name=my"], True),
        (["--config=/x", "--leader-elect", "--leader-elect-resource-name=my"], False),
        (["--config=/x", "--leader-elect=false"], False),
    ],
)
def test_a_configuration_file_leaves_open_what_no_flag_says(flags, open_) -> None:
    pod = with_command(*flags, component=SCHEDULER)
    assert staticpod.leads_by_file(pod, SCHEDULER) == ("/x" if open_ else "")
    assert staticpod.leads_by_file(pod, CONTROLLER_MANAGER) == ""
