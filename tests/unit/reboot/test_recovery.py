"""The recovery copy: a DaemonSet's pod as a static one."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.instance import kind_of
from kubectl_selfhost.controlplane.pod import flags
from kubectl_selfhost.controlplane.pod.defaults import PROBES
from kubectl_selfhost.controlplane.pod.difference import meaning
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import MIRROR_ANNOTATION
from kubectl_selfhost.reboot import recovery


@pytest.fixture
def daemonset(manifest, version, component, agent, node) -> dict:
    return build(component, manifest(version, component), nodes=[node], agent=agent)


@pytest.fixture
def copy(daemonset, component, node) -> dict:
    return recovery.copy_of(daemonset, component, node)


@pytest.fixture
def apiserver(manifest, agent, node) -> dict:
    return build(APISERVER, manifest("1.30", APISERVER), nodes=[node], agent=agent)


def test_it_refers_to_nothing_in_the_api(copy, version, component):
    assert [list(v) for v in copy["spec"]["volumes"] if "hostPath" not in v] == []
    assert "initContainers" not in copy["spec"]
    assert "serviceAccountName" not in copy["spec"]


def test_it_shares_its_port_and_reserves_none(copy, version, component):
    (container,) = copy["spec"]["containers"]
    assert flags.of_container(container)["permit-port-sharing"] == "true"
    assert "ports" not in container


def test_it_is_not_taken_for_the_components_own_static_pod(copy, version, component):
    copy["metadata"]["annotations"][MIRROR_ANNOTATION] = "x"
    assert kind_of(copy, component) is None
    assert copy["metadata"]["name"] == f"{component}-recovery"


def test_what_the_api_fills_in_makes_no_other_copy(daemonset, copy, version, component, node):
    spec = daemonset["spec"]["template"]["spec"]
    spec |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "x"}
    spec["schedulerName"] = "default-scheduler"
    assert meaning(recovery.copy_of(daemonset, component, node), copy) == []
    assert recovery.copy_of(daemonset, component, node) == copy


def test_the_nodes_address_is_written_out(apiserver, node):
    container = recovery.copy_of(apiserver, APISERVER, node)["spec"]["containers"][0]
    assert container["env"] == [{"name": "HOST_IP", "value": "10.0.0.11"}]
    assert flags.of_container(container)["advertise-address"] == "$(HOST_IP)"


def test_an_apiserver_is_probed_at_an_address_of_its_own(apiserver, node):
    container = recovery.copy_of(apiserver, APISERVER, node)["spec"]["containers"][0]
    hosts = {container[probe]["httpGet"]["host"] for probe in PROBES}
    assert hosts == {recovery.PROBE_ADDRESS}


def test_the_daemonset_itself_stays_as_it_is(apiserver, node):
    before = repr(apiserver)
    recovery.copy_of(apiserver, APISERVER, node)
    assert repr(apiserver) == before


@pytest.mark.parametrize(
    "volume",
    [{"secret": {"secretName": "x"}}, {"configMap": {"name": "x"}}, {"projected": {"sources": []}}],
)
def test_what_needs_a_volume_from_the_api_is_refused(apiserver, node, volume):
    apiserver["spec"]["template"]["spec"]["volumes"].append({"name": "policy", **volume})
    with pytest.raises(SelfhostError, match="volume policy"):
        recovery.copy_of(apiserver, APISERVER, node)


@pytest.mark.parametrize(
    "fields",
    [
        {"envFrom": [{"secretRef": {"name": "x"}}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]},
    ],
)
def test_what_needs_a_variable_from_the_api_is_refused(manifest, agent, node, fields):
    pod = manifest("1.30", SCHEDULER)
    pod["spec"]["containers"][0] |= fields
    with pytest.raises(SelfhostError, match="no recovery copy of kube-scheduler"):
        recovery.copy_of(build(SCHEDULER, pod, nodes=[node], agent=agent), SCHEDULER, node)
