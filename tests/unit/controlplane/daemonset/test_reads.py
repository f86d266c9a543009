"""Which credentials a component reads is found by its flags; what is unknown is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.daemonset import reads
from kubectl_selfhost.errors import SelfhostError

DATA = Path(__file__).parents[1] / "data"
VERSIONS = ("1.20", "1.30", "1.34", "1.37")


def pod(component: Component, version: str = "1.37") -> dict[str, Any]:
    found: dict = yaml.safe_load((DATA / f"kubeadm-{version}" / f"{component}.yaml").read_text())
    return found


def with_flag(component: Component, flag: str) -> dict[str, Any]:
    made = pod(component)
    made["spec"]["containers"][0]["command"].append(flag)
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_what_kubeadm_s_components_read(version):
    found = {c: {one.path for one in reads.of(c, pod(c, version))} for c in COMPONENTS}
    assert found[APISERVER] == {
        *("/pki/ca.crt", "/pki/etcd/ca.crt", "/pki/front-proxy-ca.crt"),
        *("/pki/apiserver.crt", "/pki/apiserver.key", "/pki/sa.key", "/pki/sa.pub"),
        *("/pki/apiserver-etcd-client.crt", "/pki/apiserver-etcd-client.key"),
        *("/pki/apiserver-kubelet-client.crt", "/pki/apiserver-kubelet-client.key"),
        *("/pki/front-proxy-client.crt", "/pki/front-proxy-client.key"),
    }
    assert found[CONTROLLER_MANAGER] == {
        *("/pki/ca.crt", "/pki/ca.key", "/pki/front-proxy-ca.crt", "/pki/sa.key"),
        "/controller-manager.conf",
    }
    assert found[SCHEDULER] == {"/scheduler.conf"}


def test_what_is_public():
    found = {one.path for one in reads.of(APISERVER, pod(APISERVER)) if not one.public}
    assert all(path.endswith(".key") for path in found)
    assert not [one for one in reads.of(SCHEDULER, pod(SCHEDULER)) if one.public]


def test_an_external_authority_has_no_key_to_move():
    made = pod(CONTROLLER_MANAGER)
    command = made["spec"]["containers"][0]["command"]
    for at, word in enumerate(command):
        if word.startswith("--cluster-signing"):
            command[at] = word.partition("=")[0] + "="
    assert "/pki/ca.key" not in {one.path for one in reads.of(CONTROLLER_MANAGER, made)}


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        (
            "--encryption-provider-config=/etc/kubernetes/pki/enc.yaml",
            "encryption configuration never moves",
        ),
        ("--audit-policy-file=/etc/kubernetes/pki/audit.yaml", r"pki/audit\.yaml \(--audit"),
        ("--tls-sni-cert-key=/etc/kubernetes/pki/a.crt,/etc/kubernetes/pki/a.key", r"pki/a\.crt"),
        ("--a-new-flag=/etc/kubernetes/pki/new", "--a-new-flag"),
    ],
)
def test_an_unknown_file_below_a_mount_that_moves_is_refused(flag, why):
    with pytest.raises(SelfhostError, match=why):
        reads.of(APISERVER, with_flag(APISERVER, flag))


def test_a_file_in_a_mount_of_its_own_stays():
    made = with_flag(APISERVER, "--encryption-provider-config=/etc/kubernetes/enc/enc.yaml")
    made["spec"]["volumes"].append({"name": "enc", "hostPath": {"path": "/etc/kubernetes/enc"}})
    made["spec"]["containers"][0]["volumeMounts"].append(
        {"name": "enc", "mountPath": "/etc/kubernetes/enc"}
    )
    assert {one.volume for one in reads.of(APISERVER, made)} == {"k8s-certs"}


def test_credentials_elsewhere_on_the_node_are_refused():
    made = pod(APISERVER)
    for volume in made["spec"]["volumes"]:
        if volume["name"] == "k8s-certs":
            volume["hostPath"]["path"] = "/srv/pki"
    with pytest.raises(SelfhostError, match=r"reads /srv/pki/ca\.crt of its node"):
        reads.of(APISERVER, made)


def test_what_another_container_mounts_is_refused():
    made = pod(APISERVER)
    mount = {"name": "k8s-certs", "mountPath": "/pki"}
    made["spec"]["containers"].append({"name": "beside", "image": "x", "volumeMounts": [mount]})
    with pytest.raises(SelfhostError, match="container beside mounts it, too"):
        reads.of(APISERVER, made)


def test_a_mount_inside_is_refused():
    made = pod(APISERVER)
    made["spec"]["volumes"].append({"name": "more", "emptyDir": {}})
    made["spec"]["containers"][0]["volumeMounts"].append(
        {"name": "more", "mountPath": "/etc/kubernetes/pki/more"}
    )
    with pytest.raises(SelfhostError, match="/etc/kubernetes/pki/more is mounted in it"):
        reads.of(APISERVER, made)


def test_files_of_configuration_are_named():
    made = with_flag(APISERVER, "--authorization-config=/etc/kubernetes/authz.yaml")
    assert reads.configurations(made) == ["--authorization-config=/etc/kubernetes/authz.yaml"]
    assert reads.configurations(pod(APISERVER)) == []
