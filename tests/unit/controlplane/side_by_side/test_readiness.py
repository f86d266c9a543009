"""Whether a kube-apiserver's Ready can be another instance's: by the probe that decides it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kubectl_selfhost.controlplane.component import APISERVER
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.side_by_side import readiness

OWN = {"host": "10.0.0.11", "port": 6443, "path": "/readyz", "scheme": "HTTPS"}
LIVE = {"httpGet": {**OWN, "path": "/livez"}}
NODE = NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")
AGENT = AgentFacts("amd64", "program", "/etc/kubernetes/kubectl-selfhost")


def pod(
    *, readiness: dict | None = None, startup: dict | None = None, port: int = 6443
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "kube-apiserver",
        "image": "apiserver",
        "command": ["kube-apiserver", "--advertise-address=10.0.0.11", f"--secure-port={port}"],
        "ports": [{"name": "probe-port", "containerPort": port}],
        "livenessProbe": LIVE,
    }
    if readiness is not None:
        container["readinessProbe"] = readiness
    if startup is not None:
        container["startupProbe"] = startup
    return {
        "metadata": {"name": "kube-apiserver", "labels": {"component": "kube-apiserver"}},
        "spec": {"hostNetwork": True, "containers": [container]},
    }


def get(**changes: Any) -> dict:
    return {"httpGet": {**OWN, **changes}}


@pytest.mark.parametrize("kubeadm", ["1.20", "1.30", "1.34", "1.37"])
def test_kubeadms_own_tells(manifest, kubeadm) -> None:
    assert readiness.doubt(manifest(kubeadm, APISERVER)) == ""


@pytest.mark.parametrize(
    "probe",
    [
        get(),
        get(port="6443"),
        get(port="probe-port"),
        get(host="127.0.0.1"),
        get(host="api.example"),  # the DaemonSet's points at loopback
        get(path="/healthz"),
        get(path="/readyz?verbose"),
        get(path="/readyz?exclude=etcd&exclude=kms-provider-0"),
    ],
)
def test_a_request_to_its_own_port_tells(probe) -> None:
    assert readiness.doubt(pod(readiness=probe)) == ""


def test_the_other_probes_do_not_decide() -> None:
    odd = {"exec": {"command": ["true"]}}
    assert readiness.doubt(pod(readiness=get(), startup=odd)) == ""


def test_another_port_of_its_own() -> None:
    assert readiness.doubt(pod(readiness=get(port=8443), port=8443)) == ""


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        (
            {"tcpSocket": {"port": 6443}},
            r"the old instance answers its readinessProbe \(tcpSocket\)",
        ),
        ({"grpc": {"port": 6443}}, r"readinessProbe \(grpc\)"),
        ({"exec": {"command": ["kubectl", "get", "--raw=/readyz"]}}, r"runs a command \(exec\)"),
        (get(port=3990), "asks port 3990, and kube-apiserver serves on port 6443"),
        (get(port="no-such-name"), "asks port no-such-name"),
        (get(scheme="HTTP"), "speaks HTTP"),
        (get(path="/livez"), "asks /livez, not /readyz"),
        (get(path="/readyz/ping"), "asks /readyz/ping"),
        (get(path="/"), "asks /, not"),
        (get(path="/readyz?exclude=poststarthook/rbac/bootstrap-roles"), "asks /readyz"),
    ],
)
def test_what_another_instance_can_answer_does_not(probe, why) -> None:
    assert re.search(why, readiness.doubt(pod(readiness=probe)))


def test_without_a_readiness_probe_the_startup_probe_decides() -> None:
    assert readiness.doubt(pod(startup=get())) == ""
    assert "startupProbe (tcpSocket)" in readiness.doubt(pod(startup={"tcpSocket": {"port": 6443}}))


def test_without_any_probe_nothing_tells() -> None:
    assert "it has no readinessProbe" in readiness.doubt(pod())


@pytest.mark.parametrize("probe", [get(), get(port=3990), {"tcpSocket": {"port": 6443}}, None])
def test_of_the_daemonset_it_is_the_same(probe) -> None:
    """A roll-out and a revert judge the template."""
    static = pod(readiness=probe)
    template = build(APISERVER, static, nodes=[NODE], agent=AGENT)["spec"]["template"]
    assert bool(readiness.doubt(template)) == bool(readiness.doubt(static))
