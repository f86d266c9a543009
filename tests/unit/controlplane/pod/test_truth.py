"""What runs is what the file says; what admission made of its mirror is reported, and not copied."""

from __future__ import annotations

from copy import deepcopy

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER
from kubectl_selfhost.controlplane.daemonset import to_static_pod
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.pod import difference, staticpod, truth
from kubectl_selfhost.controlplane.pod.defaults import containers, with_defaults

AGENT = AgentFacts("amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost")
NODE = NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/kube-scheduler"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


@pytest.fixture
def file(manifest) -> dict:
    return manifest("1.37", SCHEDULER)


def mirrored(file: dict, *, running: str = "") -> dict:
    """Return the file's mirror pod, whose container runs ``running``."""
    mirror = with_defaults(deepcopy(file))
    main = mirror["spec"]["containers"][0]
    mirror["metadata"]["name"] += "-cp-1"
    mirror["metadata"]["annotations"] = {
        **mirror["metadata"].get("annotations", {}),
        "kubernetes.io/config.mirror": "1",
    }
    mirror["spec"]["nodeName"] = "cp-1"
    mirror["status"] = {
        "containerStatuses": [{"name": main["name"], "image": running or main["image"]}]
    }
    return mirror


def main(pod: dict) -> dict:
    return pod["spec"]["containers"][0]


def paths(found: list[difference.Difference]) -> list[str]:
    return [one.path.rpartition("].")[2] for one in found]


def test_a_mirror_that_nobody_changed_says_the_same(file) -> None:
    assert truth.admissions(file, mirrored(file)) == []
    assert truth.unexplained(file, mirrored(file)) == []


def test_always_pull_images_is_admissions(file) -> None:
    mirror = mirrored(file)
    for container in containers(mirror["spec"]):
        container["imagePullPolicy"] = "Always"
    assert paths(truth.admissions(file, mirror)) == ["imagePullPolicy"]
    assert truth.unexplained(file, mirror) == []


def test_a_webhooks_image_is_admissions_where_the_files_runs(file) -> None:
    mirror = mirrored(file)
    main(mirror)["image"] = f"cache.example:5000/{main(file)['image']}"
    assert paths(truth.admissions(file, mirror)) == ["image"]
    assert truth.unexplained(file, mirror) == []
    assert truth.image_on_node(mirror, main(mirror)) == main(file)["image"]


def test_an_image_that_runs_and_is_not_the_files_is_a_file_that_nobody_took(file) -> None:
    mirror = mirrored(file)
    main(file)["image"] = "registry.k8s.io/kube-scheduler:v9.9.9"
    assert paths(truth.unexplained(file, mirror)) == ["image"]
    assert truth.admissions(file, mirror) == []


def test_another_tag_is_never_a_webhooks(file) -> None:
    """The runtime may say another of the image's names than the mirror does."""
    mirror = mirrored(file, running="registry.k8s.io/kube-scheduler-amd64:v1.37.2")
    main(file)["image"] = "registry.k8s.io/kube-scheduler:v9.9.9"
    assert paths(truth.unexplained(file, mirror)) == ["image"]


def test_a_digest_that_a_webhook_adds_is_admissions(file) -> None:
    mirror = mirrored(file)
    main(mirror)["image"] += "@sha256:0123"
    assert truth.unexplained(file, mirror) == []


def test_the_names_that_a_runtime_writes_out_are_the_same(file) -> None:
    main(file)["image"] = "example/kube-scheduler:v1"
    mirror = mirrored(file, running="docker.io/example/kube-scheduler:v1")
    assert truth.image_on_node(mirror, main(mirror)) == "example/kube-scheduler:v1"
    mirror = mirrored(file, running="sha256:0123")
    assert truth.image_on_node(mirror, main(mirror)) == "example/kube-scheduler:v1"


def test_amounts_and_what_a_static_pod_does_not_heed_are_admissions(file) -> None:
    mirror = mirrored(file)
    main(mirror)["resources"]["limits"] = {"memory": "1Gi"}
    main(mirror)["resources"]["requests"]["cpu"] = "7"
    mirror["metadata"]["labels"]["injected"] = "yes"
    mirror["metadata"]["annotations"]["injector/status"] = "done"
    mirror["spec"]["nodeSelector"] = {"zone": "a"}
    mirror["spec"]["preemptionPolicy"] = "Never"
    assert truth.unexplained(file, mirror) == []
    assert len(truth.admissions(file, mirror)) >= 4


@pytest.mark.parametrize(
    "edit",
    [
        lambda pod: main(pod)["command"].append("--v=9"),
        lambda pod: pod["spec"].update(hostPID=True),
        lambda pod: main(pod)["volumeMounts"].pop(),
        lambda pod: pod["metadata"]["labels"].pop("tier"),
        lambda pod: pod["spec"]["containers"].append({"name": "proxy", "image": "a:1"}),
    ],
)
def test_anything_else_is_a_file_that_nobody_took(file, edit) -> None:
    mirror = mirrored(file)
    edit(mirror)
    assert truth.unexplained(file, mirror)


def test_the_priority_that_a_class_gives_is_admissions(file) -> None:
    """A class with globalDefault, or one of people's own."""
    del file["spec"]["priorityClassName"], file["spec"]["priority"]
    mirror = mirrored(file)
    mirror["spec"] |= {"priorityClassName": "default", "priority": 1000}
    assert truth.unexplained(file, mirror) == []
    assert "priority" not in staticpod.from_mirror_pod(file)["spec"]


def test_an_amount_that_the_api_writes_in_its_own_way_is_the_same(file) -> None:
    file["spec"]["volumes"].append({"name": "tmp", "emptyDir": {"sizeLimit": "1.5Gi"}})
    mirror = mirrored(file)
    mirror["spec"]["volumes"][-1]["emptyDir"]["sizeLimit"] = "1536Mi"
    assert difference.meaning(file, mirror) == []


def test_a_side_car_that_was_put_into_the_mirror_alone_is_not_explained(file) -> None:
    """It doesn't run; but nor is it known that the file does."""
    mirror = mirrored(file)
    mirror["spec"]["containers"].append({"name": "proxy", "image": "a:1"})
    assert [one.path for one in truth.unexplained(file, mirror)] == ["spec.containers[proxy]"]


def synced(pod: dict) -> dict:
    """Return the mirror, as the API server keeps annotations and fields in step."""
    mirror = mirrored(pod)
    main(mirror).setdefault("securityContext", {})["appArmorProfile"] = {"type": "Unconfined"}
    mirror["metadata"]["annotations"][APPARMOR] = "unconfined"
    return mirror


@pytest.mark.parametrize("form", ["annotation", "field"])
def test_a_profile_in_either_form_is_no_difference(file, form) -> None:
    if form == "annotation":
        file["metadata"]["annotations"] = {APPARMOR: "unconfined"}
    else:
        main(file)["securityContext"] = {"appArmorProfile": {"type": "Unconfined"}}
    assert difference.meaning(file, synced(file)) == []
    other = deepcopy(synced(file))
    other["metadata"]["annotations"].pop(APPARMOR)
    main(other)["securityContext"]["appArmorProfile"] = {"type": "RuntimeDefault"}
    assert truth.unexplained(file, other)


def test_a_pods_own_profile_is_each_containers(file) -> None:
    file["spec"]["securityContext"] = {"appArmorProfile": {"type": "RuntimeDefault"}}
    mirror = mirrored(file)
    mirror["metadata"]["annotations"][APPARMOR] = "runtime/default"
    assert difference.meaning(file, mirror) == []


def test_seccomps_annotation_is_its_field(file) -> None:
    file["metadata"]["annotations"] = {SECCOMP: "runtime/default"}
    mirror = mirrored(file)
    mirror["spec"].setdefault("securityContext", {})["seccompProfile"] = {"type": "RuntimeDefault"}
    assert difference.meaning(file, mirror) == []


def test_the_field_of_an_annotation_is_not_written_back(file) -> None:
    file["metadata"]["annotations"] = {APPARMOR: "unconfined"}
    recovered = staticpod.from_mirror_pod(synced(file))
    assert "securityContext" not in main(recovered)
    daemonset = build(SCHEDULER, synced(file), nodes=[NODE], agent=AGENT)
    back = to_static_pod.from_daemonset(SCHEDULER, daemonset, file)
    assert back["metadata"]["annotations"] == {APPARMOR: "unconfined"}
    assert "securityContext" not in main(back)


LABELS = [
    {"k8s-app": "kube-apiserver", "tier": "control-plane", "team": "a"},
    {"component": "api", "tier": "mine"},
    {},
]


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_ones_own_are_there_again_after_a_revert(manifest, labels) -> None:
    file = manifest("1.37", APISERVER)
    file["metadata"]["labels"] = dict(labels)
    file["metadata"]["annotations"]["mine/note"] = "kept"
    daemonset = build(APISERVER, file, nodes=[NODE], agent=AGENT)
    metadata = daemonset["spec"]["template"]["metadata"]
    assert metadata["labels"]["component"] == "kube-apiserver"
    assert metadata["annotations"]["mine/note"] == "kept"
    back = to_static_pod.from_daemonset(APISERVER, daemonset, file, address="10.0.0.11")
    assert back["metadata"].get("labels", {}) == labels
    assert back["metadata"]["annotations"]["mine/note"] == "kept"


def test_without_a_back_up_the_labels_are_kubeadms(manifest) -> None:
    file = manifest("1.37", APISERVER)
    daemonset = build(APISERVER, file, nodes=[NODE], agent=AGENT)
    back = to_static_pod.from_daemonset(APISERVER, daemonset, None, address="10.0.0.11")
    assert back["metadata"]["labels"] == APISERVER.labels
