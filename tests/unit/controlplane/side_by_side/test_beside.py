"""Whether two instances may run side by side, and what that makes of the DaemonSet."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.daemonset import to_static_pod
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.change import Change, changed
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside
from kubectl_selfhost.errors import SelfhostError

NODE = NodeFacts("cp-1", "172.18.0.2", "172.18.0.2", "amd64")
AGENT = AgentFacts("amd64", "program", "/etc/kubernetes/kubectl-selfhost")
RUN = {"name": "run", "hostPath": {"path": "/var/run/kmsplugin", "type": "DirectoryOrCreate"}}


@pytest.fixture
def pod(manifest):
    """Make kubeadm's own static pod of a component, with flags, side-cars and volumes added."""

    def make(component: Component, *flags: str, **more: Any) -> dict:
        made = deepcopy(manifest("1.37", component))
        container = staticpod.component_container(made)
        container["command"] += flags
        container.setdefault("volumeMounts", []).extend(more.pop("mounts", []))
        made["spec"]["containers"] += more.pop("containers", [])
        made["spec"].setdefault("initContainers", []).extend(more.pop("init", []))
        made["spec"].setdefault("volumes", []).extend(more.pop("volumes", []))
        return made

    return make


def side_car(*args: str, name: str = "side", **more: Any) -> dict:
    return {"name": name, "image": "side", "args": list(args), **more}


def template(component: Component, static: dict) -> dict:
    return build(component, static, nodes=[NODE], agent=AGENT)["spec"]["template"]


def test_kubeadms_own_may(manifest, version, component) -> None:
    static = manifest(version, component)
    assert beside.one_at_a_time(component, static) == ""
    assert beside.conflicts(component, static) == []
    assert beside.one_at_a_time(component, template(component, static)) == ""
    assert beside.conflicts(component, template(component, static)) == []


@pytest.mark.parametrize("component", [CONTROLLER_MANAGER, SCHEDULER])
@pytest.mark.parametrize(
    "flag", ["--leader-elect=false", "--leader_elect=False", "--leader-elect=0"]
)
def test_without_leader_election_never_two(pod, component, flag) -> None:
    assert "without leader election" in beside.one_at_a_time(component, pod(component, flag))


@pytest.mark.parametrize(
    ("period", "alone"), [("2s", False), ("4s", False), ("26s", True), ("1m", True)]
)
def test_a_standby_that_asks_seldom_is_none(pod, period, alone) -> None:
    static = pod(SCHEDULER, f"--leader-elect-retry-period={period}")
    assert bool(beside.one_at_a_time(SCHEDULER, static)) is alone


def test_how_seldom_is_said(pod) -> None:
    static = pod(CONTROLLER_MANAGER, "--leader-elect-retry-period=26s")
    assert "every 26 to 57.2 s" in beside.one_at_a_time(CONTROLLER_MANAGER, static)


@pytest.mark.parametrize("component", [CONTROLLER_MANAGER, SCHEDULER])
def test_such_a_daemonset_does_not_share_its_port(pod, component) -> None:
    static = pod(component, "--leader-elect=false", "--permit-port-sharing=true")
    made = template(component, static)
    assert "permit-port-sharing" not in staticpod.flags(made)
    assert beside.one_at_a_time(component, made)
    daemonset = build(component, static, nodes=[NODE], agent=AGENT)
    back = to_static_pod.from_daemonset(component, daemonset, static)
    assert "permit-port-sharing" not in staticpod.flags(back)


@pytest.mark.parametrize(
    ("container", "thing"),
    [
        # 05: a health check that asks the API server
        (
            side_car("--listen-address=10.0.0.11", "--listen-port=3990", "--api-server-port=6443"),
            "port 3990",
        ),
        # 06: a KMS plugin
        (
            side_car(
                "--health-port=:8083",
                "--listen=/var/run/kmsplugin/socket.sock",
                volumeMounts=[{"name": "run", "mountPath": "/var/run/kmsplugin"}],
            ),
            "port 8083",
        ),
        (
            side_car(
                "--path-to-unix-socket=/var/run/kmsplugin/socket.sock",
                volumeMounts=[{"name": "run", "mountPath": "/var/run/kmsplugin"}],
            ),
            "/var/run/kmsplugin/socket.sock on the node",
        ),
        (
            side_car(
                "--listen-addr=unix:///run/kms/azurekms.socket",
                volumeMounts=[{"name": "run", "mountPath": "/run/kms"}],
            ),
            "/run/kms/azurekms.socket on the node",
        ),
        (side_car(ports=[{"containerPort": 8083}]), "port 8083"),
        (side_car(ports=[{"containerPort": 80, "hostPort": 8080}]), "port 8080"),
        (side_car("--bind=[::]:9000"), "port 9000"),
        (side_car("--http-bind-address", "127.0.0.1:8600"), "port 8600"),
        (side_car("--port=7000"), "port 7000"),
        (side_car("--addr=:7001"), "port 7001"),
        (side_car("--metrics-addr=0.0.0.0:9100"), "port 9100"),
        (side_car(env=[{"name": "HEALTH_PORT", "value": "8083"}]), "port 8083"),
        (side_car(env=[{"name": "LISTEN_ADDR", "value": ":8084"}]), "port 8084"),
        (side_car(livenessProbe={"httpGet": {"port": 8083, "path": "/"}}), "port 8083"),
        (
            side_car(
                "--data-dir=/var/run/kmsplugin/data",
                volumeMounts=[{"name": "run", "mountPath": "/var/run/kmsplugin"}],
            ),
            "/var/run/kmsplugin/data on the node",
        ),
    ],
)
@pytest.mark.parametrize("component", [APISERVER, SCHEDULER])
def test_what_a_side_car_has_for_itself_is_seen(pod, component, container, thing) -> None:
    static = pod(component, containers=[container], volumes=[RUN])
    assert f"two of container side can't have {thing}" in beside.conflicts(component, static)
    if component == SCHEDULER:
        assert thing in beside.one_at_a_time(component, static)
        assert "permit-port-sharing" not in staticpod.flags(template(component, static))
    else:
        assert beside.one_at_a_time(component, static) == ""


def test_a_native_side_car_is_one(pod) -> None:
    native = side_car("--listen=:8083", restartPolicy="Always")
    assert beside.conflicts(APISERVER, pod(APISERVER, init=[native]))
    assert beside.conflicts(APISERVER, pod(APISERVER, init=[side_car("--listen=:8083")])) == []


def test_a_directory_where_two_containers_talk(pod) -> None:
    """A plugin that is told by a file where its socket is."""
    mount = {"name": "run", "mountPath": "/var/run/kmsplugin"}
    static = pod(
        APISERVER, containers=[side_car(volumeMounts=[mount])], mounts=[mount], volumes=[RUN]
    )
    assert "sockets in /var/run/kmsplugin" in beside.conflicts(APISERVER, static)[0]


@pytest.mark.parametrize(
    "container",
    [
        side_car("--api-server-port=6443", "--upstream=10.0.0.11:6443", "--target-port=8080"),
        side_car("--etcd-endpoint=127.0.0.1:2379", "--kube-api=https://localhost:6443"),
        side_car("--metrics-port=0", "--verbosity=4", "--timeout=30", "-v=2"),
        side_car(
            readinessProbe={"httpGet": {"port": 6443}},
            lifecycle={"preStop": {"httpGet": {"port": 1}}},
        ),
        side_car(
            "--runtime-endpoint=unix:///run/containerd/containerd.sock",
            volumeMounts=[{"name": "run", "mountPath": "/run/containerd"}],
        ),
        side_car(
            "--listen=/var/run/kmsplugin/s.sock",
            volumeMounts=[{"name": "run", "mountPath": "/var/run/kmsplugin", "readOnly": True}],
        ),
        side_car("sh", "-c", "while :; do sleep 1; done"),
    ],
)
def test_whom_a_side_car_calls_is_no_conflict(pod, container) -> None:
    assert beside.conflicts(APISERVER, pod(APISERVER, containers=[container], volumes=[RUN])) == []


def test_logs_that_two_containers_share_are_none(pod) -> None:
    logs = {
        "name": "audit",
        "hostPath": {"path": "/var/log/kubernetes", "type": "DirectoryOrCreate"},
    }
    mount = {"name": "audit", "mountPath": "/var/log/kubernetes"}
    shipper = side_car("--path=/var/log/kubernetes/audit.log", volumeMounts=[mount])
    assert (
        beside.conflicts(
            APISERVER, pod(APISERVER, containers=[shipper], mounts=[mount], volumes=[logs])
        )
        == []
    )


@pytest.mark.parametrize(
    ("flags", "change"),
    [
        ((), {"leader-elect-retry-period": "30s"}),
    ],
)
def test_a_roll_out_to_one_that_must_be_alone_is_refused(pod, flags, change) -> None:
    daemonset = build(SCHEDULER, pod(SCHEDULER, *flags), nodes=[NODE], agent=AGENT)
    with pytest.raises(SelfhostError, match="can't make this change of kube-scheduler") as refused:
        changed(
            daemonset,
            SCHEDULER,
            Change(flags={name: (value,) for name, value in change.items()}),
            now="now",
        )
    assert "kubectl selfhost revert" in refused.value.hint


def test_a_roll_out_of_one_that_shares_and_must_not_is_refused(pod) -> None:
    """As an earlier version made it."""
    daemonset = build(SCHEDULER, pod(SCHEDULER), nodes=[NODE], agent=AGENT)
    container = staticpod.component_container(daemonset["spec"]["template"])
    container["command"].append("--leader-elect=false")
    with pytest.raises(SelfhostError, match="without leader election"):
        changed(daemonset, SCHEDULER, Change(), now="now")


@pytest.mark.parametrize("component", [CONTROLLER_MANAGER, SCHEDULER])
def test_a_side_car_that_is_probed_at_the_components_own_port_takes_nothing(pod, component) -> None:
    probe = {"httpGet": {"port": component.default_port}}
    static = pod(component, containers=[side_car(livenessProbe=probe)])
    assert beside.one_at_a_time(component, static) == ""
    assert beside.one_at_a_time(component, template(component, static)) == ""
