"""Whose control plane it is, by what each distribution puts on its nodes."""

from __future__ import annotations

import apiobjects as api
import pytest

from kubectl_selfhost.controlplane.ownership import owner, rewriter

VERSION = "v1.34.1"


def node(*labels: str, annotations: dict | None = None, system: str = "") -> dict:
    made = api.node(labels=dict.fromkeys(labels, ""))
    made["metadata"]["annotations"] = annotations or {}
    made["status"]["nodeInfo"]["osImage"] = system
    return made


@pytest.mark.parametrize(
    ("version", "name"),
    [("v1.30.1+k0s", "k0s"), ("v1.30.1+k3s1", "k3s"), ("v1.30.1+rke2r1", "RKE2")],
)
def test_by_the_servers_version(version, name):
    assert owner([node()], git_version=version, api_groups=[]) == name
    assert owner([], git_version=version, api_groups=[]) == name


@pytest.mark.parametrize(
    ("group", "name"), [("config.openshift.io", "OpenShift"), ("deckhouse.io", "Deckhouse")]
)
def test_by_the_apis_that_are_served(group, name):
    assert owner([node()], git_version=VERSION, api_groups=["apps", group]) == name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("node.deckhouse.io/group", "Deckhouse"),
        ("kops.k8s.io/instancegroup", "kops"),
        ("node.k0sproject.io/role", "k0s"),
        ("microk8s.io/cluster", "MicroK8s"),
        ("node.kubernetes.io/microk8s-controlplane", "MicroK8s"),
        ("k8sd.io/role", "Canonical Kubernetes"),
        ("worker.gardener.cloud/pool", "Gardener"),
    ],
)
def test_by_a_nodes_label(label, name):
    assert owner([node(), node(label)], git_version=VERSION, api_groups=[]) == name


@pytest.mark.parametrize(
    ("annotation", "value", "name"),
    [
        ("rke2.io/node-args", "[]", "RKE2"),
        ("k3s.io/node-args", "[]", "k3s"),
        ("rke.cattle.io/internal-ip", "10.0.0.1", "Rancher (RKE)"),
        (
            "cluster.x-k8s.io/owner-kind",
            "KubeadmControlPlane",
            "Cluster API (KubeadmControlPlane)",
        ),
        ("cluster.x-k8s.io/owner-kind", "RKE2ControlPlane", "Cluster API (RKE2ControlPlane)"),
    ],
)
def test_by_a_nodes_annotation(annotation, value, name):
    found = node(annotations={annotation: value})
    assert owner([found], git_version=VERSION, api_groups=[]) == name


def test_by_the_operating_system():
    assert owner([node(system="Talos (v1.9.0)")], git_version=VERSION, api_groups=[]) == "Talos"


@pytest.mark.parametrize(
    "kubeadms",
    [
        node(),
        node("minikube.k8s.io/version"),
        node("node.kubernetes.io/exclude-from-external-load-balancers"),
        node(annotations={"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/x.sock"}),
        node(annotations={"cluster.x-k8s.io/owner-kind": "MachineSet"}),
        node(system="Docker Desktop"),
    ],
)
def test_what_uses_plain_kubeadm_owns_nothing(kubeadms):
    groups = ["apps", "cluster.x-k8s.io", "cert-manager.io"]
    assert owner([kubeadms], git_version=VERSION, api_groups=groups) is None


def test_what_writes_the_manifests_again():
    assert rewriter([node()]) is None
    found = rewriter([node("minikube.k8s.io/name")])
    assert found is not None
    assert found[0] == "minikube"
