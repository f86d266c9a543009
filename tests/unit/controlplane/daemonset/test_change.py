"""What a roll-out makes of a DaemonSet."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.change import Change, changed, probe_address
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.pod import flags
from kubectl_selfhost.controlplane.pod.defaults import PROBES
from kubectl_selfhost.errors import SelfhostError

AGENT = AgentFacts("amd64", "kubectl-selfhost-agent-0123456789", "/etc/kubernetes/kubectl-selfhost")
NODE = NodeFacts("cp-1", "10.0.0.11", "10.0.0.11", "amd64")
NOW = "2026-11-24T12:00:00Z"


@pytest.fixture
def apiserver(manifest) -> dict:
    return build(APISERVER, manifest("1.37", APISERVER), nodes=[NODE], agent=AGENT)


@pytest.fixture
def scheduler(manifest) -> dict:
    return build(SCHEDULER, manifest("1.37", SCHEDULER), nodes=[NODE], agent=AGENT)


def spec(daemonset: dict) -> dict:
    return daemonset["spec"]["template"]["spec"]


def flag(daemonset: dict, name: str) -> str | None:
    return flags.of_container(spec(daemonset)["containers"][0]).get(name)


def test_without_a_change_only_the_annotation_is_new(scheduler) -> None:
    after = changed(scheduler, SCHEDULER, Change(), now=NOW)
    assert spec(after) == spec(scheduler)
    assert (
        after["spec"]["template"]["metadata"]["annotations"]["kubectl-selfhost/rolled-out-at"]
        == NOW
    )


def test_the_one_that_was_given_stays_as_it_is(scheduler) -> None:
    changed(scheduler, SCHEDULER, Change(image="new"), now=NOW)
    assert spec(scheduler)["containers"][0]["image"] != "new"


def test_the_image_is_the_waiting_containers_too(scheduler) -> None:
    after = spec(changed(scheduler, SCHEDULER, Change(image="registry/new:1"), now=NOW))
    images = [c["image"] for c in [*after["containers"], *after["initContainers"]]]
    assert images == ["registry/new:1", "registry/new:1"]


def test_flags_are_set_and_taken_off(scheduler) -> None:
    change = Change(flags={"v": ["4"]}, without=("leader-elect",))
    after = changed(scheduler, SCHEDULER, change, now=NOW)
    assert (flag(after, "v"), flag(after, "leader-elect")) == ("4", None)


def test_all_values_of_a_flag_are_set_in_their_order(apiserver) -> None:
    issuers = ["https://new.example", "https://old.example"]
    change = Change(flags={"service-account-issuer": issuers})
    after = changed(apiserver, APISERVER, change, now=NOW)
    all_flags = flags.all_of_container(spec(after)["containers"][0])
    assert [value for name, value in all_flags if name == "service-account-issuer"] == issuers


def test_a_flag_is_not_set_and_taken_off_at_once(scheduler) -> None:
    change = Change(flags={"v": ["4"]}, without=("v",))
    with pytest.raises(SelfhostError, match="both name --v of kube-scheduler"):
        changed(scheduler, SCHEDULER, change, now=NOW)


def test_a_flag_that_is_not_there_can_not_be_taken_off(scheduler) -> None:
    with pytest.raises(SelfhostError, match="kube-scheduler has no flag --nonsense"):
        changed(scheduler, SCHEDULER, Change(without=("nonsense",)), now=NOW)


@pytest.mark.parametrize("name", ["secure-port", "bind-address", "permit-port-sharing"])
def test_what_both_instances_must_agree_on_is_refused(apiserver, name) -> None:
    with pytest.raises(SelfhostError, match=f"can't change --{name} of kube-apiserver"):
        changed(apiserver, APISERVER, Change(flags={name: ["1"]}), now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        Change(flags={"leader-elect-resource-name": ["my"]}),
        Change(flags={"leader-elect-resource-namespace": ["own"]}),
        Change(flags={"leader-elect": ["false"]}),
    ],
)
def test_the_lease_by_which_it_leads_stays(scheduler, change) -> None:
    """Two instances stand side by side, and each would lead by its own."""
    with pytest.raises(SelfhostError, match="would both lead"):
        changed(scheduler, SCHEDULER, change, now=NOW)


def test_an_apiserver_is_probed_elsewhere_each_time(apiserver) -> None:
    once = changed(apiserver, APISERVER, Change(), now=NOW)
    twice = changed(once, APISERVER, Change(), now=NOW)
    addresses = [probe_address(d) for d in (apiserver, once, twice)]
    assert addresses == ["127.0.0.2", "127.0.0.3", "127.0.0.2"]
    container = spec(once)["containers"][0]
    assert {container[p]["httpGet"]["host"] for p in PROBES} == {"127.0.0.3"}
