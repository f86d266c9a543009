"""From a static pod to the DaemonSet that runs it."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import yaml
from fakes.pods import for_any, static_pods

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER, Component
from kubectl_selfhost.controlplane.daemonset.admission import admission_changes, pulls
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.pod import flags, staticpod
from kubectl_selfhost.controlplane.pod.defaults import PROBES, containers, with_defaults
from kubectl_selfhost.controlplane.values import resources
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import ADVERTISE_ADDRESS_ANNOTATION

AGENT = AgentFacts("amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost")
NODE = NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")


def built(component: Component, pod: dict, *nodes: NodeFacts) -> dict:
    return build(component, pod, nodes=nodes or [NODE], agent=AGENT)


def spec_of(daemonset: dict) -> dict:
    return daemonset["spec"]["template"]["spec"]


def main(daemonset: dict) -> dict:
    return spec_of(daemonset)["containers"][0]


def waiter(daemonset: dict) -> dict:
    return spec_of(daemonset)["initContainers"][-1]


@pytest.fixture
def any_daemonset(manifest, version, component) -> dict:
    return built(component, manifest(version, component))


@pytest.fixture
def apiserver(manifest) -> dict:
    return manifest("1.30", APISERVER)


@pytest.fixture
def scheduler(manifest) -> dict:
    return manifest("1.34", SCHEDULER)


# Every manifest that kubeadm writes


def test_it_is_named_as_kubeadm_named_it(any_daemonset, component) -> None:
    metadata = any_daemonset["metadata"]
    assert metadata["name"] == f"self-hosted-{component}"
    assert metadata["namespace"] == "kube-system"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "kubectl-selfhost"


def test_the_selector_matches_no_mirror_pod(any_daemonset, manifest, version, component) -> None:
    selector = any_daemonset["spec"]["selector"]["matchLabels"]
    assert selector == {"k8s-app": f"self-hosted-{component}"}
    assert not selector.items() <= manifest(version, component)["metadata"]["labels"].items()


def test_its_pods_are_found_as_static_ones_are(any_daemonset, component) -> None:
    labels = any_daemonset["spec"]["template"]["metadata"]["labels"]
    assert labels["component"] == component.name
    assert labels["tier"] == "control-plane"


def test_no_ports_and_none_named(any_daemonset) -> None:
    for container in containers(spec_of(any_daemonset)):
        assert "ports" not in container
        for probe in PROBES:
            assert isinstance(container.get(probe, {}).get("httpGet", {}).get("port", 0), int)


def test_the_probes_ask_the_components_port(any_daemonset, manifest, version, component) -> None:
    port = staticpod.secure_port(manifest(version, component), component)
    asked = {main(any_daemonset)[p]["httpGet"]["port"] for p in PROBES if p in main(any_daemonset)}
    assert asked == {port}


def test_it_shares_its_port(any_daemonset) -> None:
    assert flags.of_container(main(any_daemonset))["permit-port-sharing"] == "true"


def test_a_roll_out_starts_the_new_before_it_stops_the_old(any_daemonset) -> None:
    assert any_daemonset["spec"]["updateStrategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }
    assert any_daemonset["spec"]["minReadySeconds"] == 10


def test_it_needs_no_token(any_daemonset) -> None:
    assert spec_of(any_daemonset)["automountServiceAccountToken"] is False


def test_it_runs_where_a_static_pod_runs(any_daemonset) -> None:
    spec = spec_of(any_daemonset)
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-node-critical"
    assert spec["hostNetwork"] is True
    assert not {"priority", "preemptionPolicy", "nodeName", "schedulerName"} & set(spec)


def test_it_runs_on_pivoted_nodes_alone(any_daemonset) -> None:
    assert spec_of(any_daemonset)["nodeSelector"] == {
        "node-role.kubernetes.io/control-plane": "",
        "kubectl-selfhost/pivoted": "true",
        "kubernetes.io/arch": "amd64",
    }


def test_it_waits_for_the_port_in_its_own_image(any_daemonset) -> None:
    assert waiter(any_daemonset)["name"] == "wait-port"
    assert waiter(any_daemonset)["image"] == main(any_daemonset)["image"]
    assert waiter(any_daemonset)["imagePullPolicy"] == "IfNotPresent"


def test_it_has_no_nulls(any_daemonset) -> None:
    assert "null" not in json.dumps(any_daemonset)


def test_from_the_mirror_comes_the_same_as_from_the_file(
    any_daemonset, mirror, version, component
) -> None:
    from_mirror = built(component, mirror(version, component))
    assert from_mirror == any_daemonset


def test_the_manifest_is_not_changed(manifest, version, component) -> None:
    pod = manifest(version, component)
    before = deepcopy(pod)
    built(component, pod)
    assert pod == before


# What is one node's own


def test_the_address_is_read_from_the_node(apiserver) -> None:
    container = main(built(APISERVER, apiserver))
    assert flags.of_container(container)["advertise-address"] == "$(HOST_IP)"
    source = {"fieldRef": {"fieldPath": "status.hostIP"}}
    assert {"name": "HOST_IP", "valueFrom": source} in container["env"]


def test_an_address_that_is_not_the_nodes_is_kept(apiserver) -> None:
    container = main(built(APISERVER, apiserver, replace(NODE, host_ip="192.168.0.9")))
    assert flags.of_container(container)["advertise-address"] == "10.0.0.11"
    assert "env" not in container


def test_one_ipv6_address_in_two_notations_is_the_nodes(manifest) -> None:
    node = replace(NODE, host_ip="fd00:10:0:0::11", advertise_address="fd00:10::11")
    container = main(built(APISERVER, manifest("1.34", APISERVER), node))
    assert flags.of_container(container)["advertise-address"] == "$(HOST_IP)"


def test_a_variable_of_that_name_is_left_alone(apiserver) -> None:
    apiserver["spec"]["containers"][0]["env"] = [{"name": "HOST_IP", "value": "mine"}]
    container = main(built(APISERVER, apiserver))
    assert flags.of_container(container)["advertise-address"] == "$(SELFHOST_HOST_IP)"
    assert container["env"][0] == {"name": "HOST_IP", "value": "mine"}


def test_a_variable_that_says_it_already_is_used(apiserver) -> None:
    source = {"fieldRef": {"fieldPath": "status.hostIP"}}
    apiserver["spec"]["containers"][0]["env"] = [{"name": "HOST_IP", "valueFrom": source}]
    assert len(main(built(APISERVER, apiserver))["env"]) == 1


def test_the_apiserver_is_probed_over_loopback(apiserver) -> None:
    container = main(built(APISERVER, apiserver))
    assert {container[probe]["httpGet"]["host"] for probe in PROBES} == {"127.0.0.2"}


def test_an_apiserver_on_one_address_is_probed_there(apiserver) -> None:
    apiserver["spec"]["containers"][0]["command"].append("--bind-address=10.0.0.11")
    daemonset = built(APISERVER, apiserver)
    assert main(daemonset)["livenessProbe"]["httpGet"]["host"] == "10.0.0.11"
    assert "--address 10.0.0.11" in " ".join(waiter(daemonset)["command"])


def test_a_probe_of_another_port_is_left_alone(apiserver) -> None:
    probe = {"httpGet": {"host": "10.9.9.9", "port": 9000}}
    apiserver["spec"]["containers"][0]["livenessProbe"] = probe
    assert main(built(APISERVER, apiserver))["livenessProbe"] == probe


def test_the_schedulers_liveness_probe_is_left_alone(scheduler) -> None:
    was = scheduler["spec"]["containers"][0]["livenessProbe"]
    get = {**was["httpGet"], "port": 10259}  # kubeadm's has its name
    now = main(built(SCHEDULER, scheduler))["livenessProbe"]
    assert {"periodSeconds": 10, **now} == {**was, "httpGet": get}


def test_its_start_is_seen_within_a_second(any_daemonset) -> None:
    probe = main(any_daemonset)["startupProbe"]
    assert probe["periodSeconds"] == 1
    assert "initialDelaySeconds" not in probe


def test_it_has_as_long_to_start_as_the_static_pod(any_daemonset) -> None:
    # kubeadm: after 10 s, 24 times every 10 s
    assert main(any_daemonset)["startupProbe"]["failureThreshold"] == 250


def test_its_last_words_are_in_the_pods_status(any_daemonset) -> None:
    assert main(any_daemonset)["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_one_node_has_kubeadms_annotation(apiserver) -> None:
    metadata = built(APISERVER, apiserver)["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {ADVERTISE_ADDRESS_ANNOTATION: "10.0.0.11:6443"}


def test_several_nodes_have_none_in_common(apiserver) -> None:
    second = NodeFacts("cp-2", "10.0.0.12", "10.0.0.12", "amd64")
    metadata = built(APISERVER, apiserver, NODE, second)["spec"]["template"]["metadata"]
    assert "annotations" not in metadata


def test_other_annotations_are_kept(scheduler) -> None:
    scheduler["metadata"]["annotations"] = {"a": "b"}
    metadata = built(SCHEDULER, scheduler)["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {"a": "b"}


@pytest.mark.parametrize("role", ["", "true"])
def test_the_control_plane_label_has_the_nodes_own_value(scheduler, role) -> None:
    daemonset = built(SCHEDULER, scheduler, replace(NODE, role=role))
    assert spec_of(daemonset)["nodeSelector"]["node-role.kubernetes.io/control-plane"] == role


# The waiting container


def resourceful(pod: dict, *, more: list[dict] | None = None, **amounts: dict) -> dict:
    pod["spec"]["containers"][0]["resources"] = amounts
    pod["spec"]["containers"] += more or []
    return pod


BIG = {"cpu": "8", "memory": "16Gi"}


@pytest.mark.parametrize(
    ("amounts", "quality"),
    [
        ({"limits": BIG, "requests": BIG}, "Guaranteed"),
        ({"limits": BIG}, "Guaranteed"),
        ({"limits": BIG, "requests": {"cpu": "8000m", "memory": "16384Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "8"}, "requests": {"cpu": "8"}}, "Burstable"),
        ({"requests": {"cpu": "200m"}}, "Burstable"),
        ({"limits": BIG, "requests": {"cpu": "1"}}, "Burstable"),
        ({}, "BestEffort"),
    ],
)
def test_it_leaves_the_quality_of_service_as_it_is(scheduler, amounts, quality) -> None:
    before = resourceful(scheduler, **amounts)
    assert resources.quality_of_service(before["spec"]) == quality
    spec = spec_of(built(SCHEDULER, before))
    assert resources.quality_of_service(spec) == quality
    assert resources.requests(spec).millicores <= max(
        resources.requests(before["spec"]).millicores, 10
    )


def test_a_side_car_without_limits_makes_it_burstable(scheduler) -> None:
    pod = resourceful(scheduler, more=[{"name": "a", "image": "a:1"}], limits=BIG)
    assert resources.quality_of_service(pod["spec"]) == "Burstable"
    assert waiter(built(SCHEDULER, pod))["resources"] == {
        "requests": {"cpu": "10m", "memory": "5Mi"}
    }


def test_the_pods_own_amounts_make_its_quality(scheduler) -> None:
    pod = resourceful(scheduler)
    pod["spec"]["resources"] = {"limits": BIG}
    spec = spec_of(built(SCHEDULER, pod))
    assert resources.quality_of_service(spec) == "Guaranteed"
    assert "resources" not in waiter(built(SCHEDULER, pod))


def test_what_it_waits_for(apiserver) -> None:
    assert waiter(built(APISERVER, apiserver))["command"] == [
        "/selfhost/agent-amd64",
        "wait-port",
        *("--port", "6443"),
        *("--hold", "/selfhost-node/kube-apiserver/hold"),
    ]


ROOTLESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
}


@pytest.mark.parametrize("where", ["pod", "container"])
def test_a_low_port_of_another_user_is_tried_as_root(apiserver, where) -> None:
    """The official image's program may bind it by its file's capability, ours may not."""
    container = apiserver["spec"]["containers"][0]
    flags.with_flag(container, "secure-port", "443")
    container["securityContext"] = deepcopy(ROOTLESS)
    context = container if where == "container" else apiserver["spec"]
    context.setdefault("securityContext", {}).update({"runAsUser": 2000, "runAsNonRoot": True})
    found = waiter(built(APISERVER, apiserver))
    assert found["command"][-2:] == ["--user", "2000"]
    assert found["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "SETUID"]},
    }
    assert main(built(APISERVER, apiserver))["securityContext"].items() >= ROOTLESS.items()


@pytest.mark.parametrize(("port", "user"), [("1024", 2000), ("443", 0), ("443", None)])
def test_any_other_port_is_tried_with_the_components_rights(apiserver, port, user) -> None:
    container = apiserver["spec"]["containers"][0]
    flags.with_flag(container, "secure-port", port)
    container["securityContext"] = {**ROOTLESS, **({} if user is None else {"runAsUser": user})}
    found = waiter(built(APISERVER, apiserver))
    assert "--user" not in found["command"]
    assert found["securityContext"] == container["securityContext"]


def test_on_loopback_it_waits_there(scheduler) -> None:
    command = waiter(built(SCHEDULER, scheduler))["command"]
    assert command[2:6] == ["--port", "10259", "--address", "127.0.0.1"]


def test_it_has_the_rights_of_the_component(manifest) -> None:
    pod = manifest("1.34", APISERVER)
    flags.with_flag(pod["spec"]["containers"][0], "secure-port", "6443")
    daemonset = built(APISERVER, pod)
    own = pod["spec"]["containers"][0]["securityContext"]
    assert waiter(daemonset)["securityContext"] == own
    assert spec_of(daemonset)["securityContext"]["runAsUser"] == 103


def test_kubeadms_rootless_control_plane_on_443(manifest) -> None:
    found = waiter(built(APISERVER, manifest("1.34", APISERVER)))
    assert found["command"][-2:] == ["--user", "103"]


def test_it_comes_after_other_init_containers(scheduler) -> None:
    scheduler["spec"]["initContainers"] = [{"name": "first", "image": "a:1"}]
    names = [c["name"] for c in spec_of(built(SCHEDULER, scheduler))["initContainers"]]
    assert names == ["first", "wait-port"]


def test_it_sees_the_agent_and_our_directory(scheduler) -> None:
    volumes = {v["name"]: v for v in spec_of(built(SCHEDULER, scheduler))["volumes"]}
    agent = volumes["kubectl-selfhost-agent"]["secret"]
    assert agent == {"secretName": AGENT.secret, "defaultMode": 0o755, "optional": False}
    assert volumes["kubectl-selfhost-node"]["hostPath"]["path"] == AGENT.node_directory


def test_a_variable_in_its_address_is_known_to_it(scheduler) -> None:
    container = scheduler["spec"]["containers"][0]
    source = {"fieldRef": {"fieldPath": "status.podIP"}}
    container["env"] = [{"name": "IP", "valueFrom": source}]
    container["command"].append("--bind-address=$(IP)")
    assert waiter(built(SCHEDULER, scheduler))["env"] == container["env"]


# Whatever a static pod has


@for_any(static_pods())
def test_nothing_of_the_static_pod_is_lost(pod: dict) -> None:
    changed = {"ports", "command", "env", *PROBES, "lifecycle", "terminationMessagePolicy"}
    component = staticpod.component_of(pod)
    spec, was = spec_of(built(component, pod)), staticpod.from_mirror_pod(pod)["spec"]
    has = {container["name"]: container for container in containers(spec)}
    for container in containers(was):
        now = has[container["name"]]
        assert {k: v for k, v in now.items() if k not in changed} == {
            k: v for k, v in container.items() if k not in changed
        }
        assert all(one in now.get("env", []) for one in container.get("env", []))
        assert {k for k in container if k in changed} - {"ports"} <= set(now)
    assert all(volume in spec["volumes"] for volume in was.get("volumes", []))
    kept = set(was) - {"containers", "initContainers", "volumes", "priority", "tolerations"}
    for field in kept - {"nodeSelector"}:
        assert spec[field] == was[field]
    assert was.get("nodeSelector", {}).items() <= spec["nodeSelector"].items()


@for_any(static_pods())
def test_the_flags_stay_save_two(pod: dict) -> None:
    component = staticpod.component_of(pod)
    changed = {"permit-port-sharing", "advertise-address"}
    now = flags.of_container(main(built(component, pod)))
    was = staticpod.flags(pod)
    assert {k: v for k, v in now.items() if k not in changed} == {
        k: v for k, v in was.items() if k not in changed
    }


@for_any(static_pods())
def test_it_survives_yaml(pod: dict) -> None:
    daemonset = built(staticpod.component_of(pod), pod)
    assert yaml.safe_load(yaml.safe_dump(daemonset)) == daemonset


@for_any(static_pods())
def test_the_same_comes_out_twice(pod: dict) -> None:
    component = staticpod.component_of(pod)
    assert json.dumps(built(component, pod)) == json.dumps(built(component, pod))


def test_a_sidecars_named_probe_gets_its_number(scheduler) -> None:
    sidecar = {
        "name": "proxy",
        "image": "a:1",
        "ports": [{"name": "web", "containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": "web"}},
        "lifecycle": {"preStop": {"httpGet": {"port": "web", "path": "/quit"}}},
    }
    scheduler["spec"]["containers"].append(sidecar)
    now = spec_of(built(SCHEDULER, scheduler))["containers"][1]
    assert now["readinessProbe"] == {"tcpSocket": {"port": 8080}}
    assert now["lifecycle"]["preStop"]["httpGet"]["port"] == 8080


# What can't be


def test_off_the_hosts_network(apiserver) -> None:
    del apiserver["spec"]["hostNetwork"]
    with pytest.raises(SelfhostError, match="does not use its node's network"):
        built(APISERVER, apiserver)


def test_a_component_that_serves_nothing(scheduler) -> None:
    scheduler["spec"]["containers"][0]["command"].append("--secure-port=0")
    with pytest.raises(SelfhostError, match="serves no port"):
        built(SCHEDULER, scheduler)


def test_another_cpu(apiserver) -> None:
    with pytest.raises(SelfhostError, match=r"The CPU of node cp-1 \(arm64\) differs"):
        built(APISERVER, apiserver, replace(NODE, arch="arm64"))


def test_several_nodes_one_of_which_advertises_another_address(apiserver) -> None:
    second = NodeFacts("cp-2", "10.0.0.12", "192.168.0.2", "amd64")
    with pytest.raises(SelfhostError, match=r"cp-2 advertises 192\.168\.0\.2"):
        built(APISERVER, apiserver, NODE, second)


def test_several_nodes_and_one_bind_address(apiserver) -> None:
    apiserver["spec"]["containers"][0]["command"].append("--bind-address=10.0.0.11")
    with pytest.raises(SelfhostError, match="listens on one address"):
        built(APISERVER, apiserver, NODE, replace(NODE, name="cp-2"))


# What admission changed


def as_admitted(daemonset: dict) -> dict:
    """Return the DaemonSet's pod as a cluster without webhooks makes it."""
    spec = with_defaults({"spec": spec_of(daemonset)})["spec"]
    spec["tolerations"] = [*spec["tolerations"], {"key": "node.kubernetes.io/not-ready"}]
    spec["affinity"] = {"nodeAffinity": {}}
    spec.update(nodeName="cp-1", priority=2000001000, serviceAccountName="default")
    return {"metadata": {"name": "x"}, "spec": spec}


@pytest.fixture
def daemonset(scheduler) -> dict:
    return built(SCHEDULER, scheduler)


@pytest.fixture
def pod(daemonset) -> dict:
    return as_admitted(daemonset)


def changes(daemonset: dict, pod: dict) -> list[str]:
    return admission_changes(daemonset["spec"]["template"], pod)


@for_any(static_pods())
def test_what_belongs_there_is_no_change(static_pod: dict) -> None:
    daemonset = built(staticpod.component_of(static_pod), static_pod)
    assert changes(daemonset, as_admitted(daemonset)) == []


def test_another_image_is_a_change(daemonset, pod) -> None:
    pod["spec"]["containers"][0]["image"] = "mirror.example/kube-scheduler:v1"
    assert "image is mirror.example/kube-scheduler:v1" in changes(daemonset, pod)[0]


def test_always_pulling_changes_nothing_that_runs_and_is_told(daemonset, pod) -> None:
    """AlwaysPullImages is kube-apiserver's own."""
    assert pulls(daemonset["spec"]["template"], pod) == []
    for container in containers(pod["spec"]):
        container["imagePullPolicy"] = "Always"
    assert changes(daemonset, pod) == []
    assert pulls(daemonset["spec"]["template"], pod) == [
        spec_of(daemonset)["containers"][0]["image"]
    ]


def test_never_pulling_is_a_change(daemonset, pod) -> None:
    pod["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    assert changes(daemonset, pod)[0].endswith("imagePullPolicy is Never instead of IfNotPresent")


def test_a_field_that_says_what_an_annotation_says_is_no_change(daemonset, pod) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/kube-scheduler"
    for one in (daemonset["spec"]["template"], pod):
        one["metadata"]["annotations"] = {key: "runtime/default"}
    context = pod["spec"]["containers"][0].setdefault("securityContext", {})
    context["appArmorProfile"] = {"type": "RuntimeDefault"}
    assert changes(daemonset, pod) == []
    context["appArmorProfile"] = {"type": "Unconfined"}
    assert len(changes(daemonset, pod)) == 1


def test_one_more_container_is_a_change(daemonset, pod) -> None:
    pod["spec"]["containers"].append({"name": "mesh", "image": "mesh:1"})
    assert changes(daemonset, pod)[0].startswith("spec.containers[mesh] was added")


def test_another_flag_is_a_change(daemonset, pod) -> None:
    pod["spec"]["containers"][0]["command"].append("--v=9")
    assert changes(daemonset, pod)[0].endswith("command --v was added: 9")


def test_another_probe_is_a_change(daemonset, pod) -> None:
    pod["spec"]["containers"][0]["livenessProbe"]["failureThreshold"] = 1
    assert "failureThreshold is 1 instead of 8" in changes(daemonset, pod)[0]


def test_a_token_that_nobody_asked_for_is_a_change(daemonset, pod) -> None:
    pod["spec"]["volumes"].append({"name": "kube-api-access-x2x", "projected": {}})
    assert changes(daemonset, pod)[0].startswith("spec.volumes[kube-api-access-x2x] was added")


def test_a_token_that_was_not_refused_is_none(daemonset, pod) -> None:
    del daemonset["spec"]["template"]["spec"]["automountServiceAccountToken"]
    del pod["spec"]["automountServiceAccountToken"]
    pod["spec"]["volumes"].append({"name": "kube-api-access-x2x", "projected": {}})
    mount = {"name": "kube-api-access-x2x", "mountPath": "/var/run/secrets"}
    pod["spec"]["containers"][0].setdefault("volumeMounts", []).append(mount)
    assert changes(daemonset, pod) == []
