"""Certificates are renewed beside those in use, verified, and put in their place; or nothing is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from fakes.credentials import Credentials
from fakes.edge import Call
from fakes.runs import Run, Seen
from fakes.world import World

from kubectl_selfhost.controlplane.component import COMPONENTS, CONTROLLER_MANAGER, SCHEDULER
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, NAMES, in_file
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import JOURNAL

RENEW = "credentials renew"


_built: dict[int, World] = {}


@pytest.fixture(params=[1, 3])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a pivoted control plane whose certificates end in 100 days; all of them are alike."""
    if request.param not in _built:
        made = World(nodes=request.param, monkeypatch=monkeypatch)
        Run(made, "pivot")()
        made.pass_time(60)
        made.changed.clear()
        _built[request.param] = made
    return _built[request.param].copy(monkeypatch)


def renew(world: World, **options: Any) -> Seen:
    run = Run(world, RENEW, options)
    run()
    return run.seen


def files(world: World) -> list[dict[str, bytes]]:
    return [dict(node.credentials.files) for node in world.nodes]


def processes(world: World, *names: str) -> set[str]:
    return {o.uid for node in world.nodes for o in node.servers() if o.component in names}


def known(world: World) -> dict[str, dict[str, dict]]:
    """Return what the journal has of each node's certificates."""
    content = json.loads(
        world.store.get("configmaps", JOURNAL, "kube-system")["data"]["journal.json"]
    )
    return {node: seen["certificates"] for node, seen in content["credentials"].items()}


def serial(content: bytes) -> str:
    found = in_file(_public(content))
    assert found is not None
    return f"{found.serial:x}"


def _public(content: bytes) -> bytes:
    inside = re.search(rb"client-certificate-data: (\S+)", content)
    return inside[1] if inside else content


def test_a_pivot_tells_the_journal_when_each_certificate_ends(world):
    assert [set(one) for one in known(world).values()] == [set(NAMES)] * len(world.nodes)
    assert all(one["notAfter"] for node in known(world).values() for one in node.values())


def test_every_certificate_is_new_and_in_use(world):
    before = files(world)
    old = processes(world, "kube-controller-manager", "kube-scheduler")
    apiservers = processes(world, "kube-apiserver")
    renew(world)
    assert world.unserved() == []
    assert world.silent_api == world.empty_service == 0
    for node, was in zip(world.nodes, before, strict=True):
        now = node.credentials.files
        assert {path for path in now if now[path] != was[path]} == {
            path for one in CREDENTIALS for path in one.files
        }
        for one in CREDENTIALS:
            facts = known(world)[node.name][one.name]
            assert facts["serial"] == serial(now[one.certificate])
            assert facts["inUse"] is (True if one.port or one.restarts else None)
    assert not old & processes(world, "kube-controller-manager", "kube-scheduler")
    assert processes(world, "kube-apiserver") == apiservers


def test_the_former_sets_are_kept_and_the_oldest_goes(world):
    before = files(world)
    renew(world)
    for node, was in zip(world.nodes, before, strict=True):
        (kept,) = node.credentials.sets.values()
        assert kept == {path: was[path] for one in CREDENTIALS for path in one.files}
    for _ in range(2):
        world.pass_time(60)
        renew(world, only=("apiserver",))
    assert all(len(node.credentials.sets) == 2 for node in world.nodes)


def test_only_what_ends_soon_is_renewed(world):
    (first, *_) = world.nodes
    first.credentials.make(first.credentials.files, "apiserver", days=10)
    before, uids = files(world), processes(world, *(c.name for c in COMPONENTS))
    renew(world, less_than=60 * 86400.0)
    assert first.credentials.renewed == ["apiserver"]
    assert all(node.credentials.renewed == [] for node in world.nodes[1:])
    assert files(world)[1:] == before[1:]
    assert processes(world, *(c.name for c in COMPONENTS)) == uids


def test_if_nothing_ends_soon_nothing_changes(world):
    before = files(world)
    world.changed.clear()
    seen = renew(world, less_than=60 * 86400.0)
    assert files(world) == before
    assert "already done" in seen.outcomes
    assert not [call for call in world.changed if call.order in ("copy", "kubeadm")]
    assert all(node.credentials.sets == {} for node in world.nodes)
    assert not [c for c in world.changed if "daemonsets" in c.path and not c.dry_run]


def test_one_node_alone(world):
    last = world.nodes[-1]
    renew(world, nodes=(last.name,), only=("scheduler.conf",))
    assert {n.name: n.credentials.renewed for n in world.nodes} == {
        n.name: ["scheduler.conf"] if n is last else [] for n in world.nodes
    }
    assert known(world)[last.name]["scheduler.conf"]["inUse"] is True


def test_a_server_with_a_certificate_of_its_own_keeps_it(world):
    for node in world.nodes:
        own = dict(node.credentials.files)
        node.credentials.make(own, "etcd-server", days=50)
        node.credentials.shown[2379] = own["/pki/etcd/server.crt"]
    renew(world, only=("etcd-server",))
    assert {one["etcd-server"]["inUse"] for one in known(world).values()} == {False}


def test_a_server_that_does_not_take_the_new_certificate_ends_the_run(world):
    for node in world.nodes:
        node.credentials.shown[2379] = node.credentials.files["/pki/etcd/server.crt"]
    before = files(world)
    with pytest.raises(SelfhostError, match="still shows the former certificate etcd-server"):
        renew(world, only=("etcd-server",))
    assert files(world) == before


def test_a_node_that_there_is_not_is_refused(world):
    with pytest.raises(SelfhostError, match="nobody"):
        renew(world, nodes=("nobody",))


def test_a_kubeconfig_that_somebody_renewed_by_hand_is_rolled_out(world):
    for node in world.nodes:
        node.credentials.make(node.credentials.files, "scheduler.conf", days=300)
        node.credentials.changed["/scheduler.conf"] = world.seconds_since_1970()
    schedulers, managers = (
        processes(world, SCHEDULER.name),
        processes(world, CONTROLLER_MANAGER.name),
    )
    Run(world, "credentials status")()
    assert {one["scheduler.conf"]["inUse"] for one in known(world).values()} == {False}
    world.pass_time(10)
    renew(world, less_than=60 * 86400.0)
    assert not schedulers & processes(world, SCHEDULER.name)
    assert processes(world, CONTROLLER_MANAGER.name) == managers
    assert {one["scheduler.conf"]["inUse"] for one in known(world).values()} == {True}


def without_authority(here: Credentials) -> None:
    del here.files["/pki/front-proxy-ca.key"]


def without_kubeadm(here: Credentials) -> None:
    here.kubeadm = False


def immutable(here: Credentials) -> None:
    here.immutable.add("/scheduler.conf")


def another_subject(here: Credentials) -> None:
    here.spoil = "subject"


def another_key(here: Credentials) -> None:
    here.spoil = "key"


def external_authority(here: Credentials) -> None:
    """Have kubeadm say that it has nothing to do, and exit with 0."""
    here.spoil = "none"


FAULTS: list[tuple[Callable[[Credentials], None], str]] = [
    (without_authority, "has no pki/front-proxy-ca.key"),
    (without_kubeadm, "has no kubeadm"),
    (immutable, "cannot write /scheduler.conf"),
    (another_subject, "another subject"),
    (another_key, "private key is another's"),
    (external_authority, "it is the former certificate"),
]


@pytest.mark.parametrize(("fault", "why"), FAULTS, ids=[one.__name__ for one, _ in FAULTS])
def test_if_it_fails_everything_is_as_it_was(world, fault, why):
    fault(world.nodes[-1].credentials)
    before, uids = files(world), processes(world, *(c.name for c in COMPONENTS))
    templates = daemonsets(world)
    with pytest.raises(SelfhostError, match=why):
        renew(world)
    assert files(world) == before
    assert processes(world, *(c.name for c in COMPONENTS)) == uids
    assert daemonsets(world) == templates
    assert all(node.credentials.sets == {} for node in world.nodes)


def daemonsets(world: World) -> list[Any]:
    return deepcopy([one["spec"] for one in world.store.list("daemonsets", "kube-system")])


def test_what_to_do_without_kubeadm_is_said(world):
    without_kubeadm(world.nodes[0].credentials)
    with pytest.raises(SelfhostError) as failed:
        renew(world, only=("apiserver",))
    assert "kubeadm certs renew apiserver" in failed.value.hint
    assert "kubectl selfhost rollout" in failed.value.hint


def test_a_component_that_does_not_come_to_serve_costs_nothing(world):
    before, templates = files(world), daemonsets(world)
    world.spoils = lambda one: "crashing" if one.component == SCHEDULER.name else ""
    with pytest.raises(SelfhostError, match="kube-scheduler"):
        renew(world)
    world.spoils = lambda _: ""
    world.pass_time(60)
    assert files(world) == before
    assert world.unserved() == []
    changed = [a["template"]["spec"] for a in daemonsets(world)]
    assert changed == [a["template"]["spec"] for a in templates]


def test_no_key_is_told(world):
    """Neither in an answer of the agent nor in an object of the API."""
    said: list[str] = []
    world.watchers.append(lambda call: said.append(json.dumps(call.body)))
    renew(world)
    text = json.dumps([one for _, one in world.store.all()]) + "".join(said)
    assert "PRIVATE KEY" not in text
    assert "client-key-data" not in text


def test_a_look_changes_no_file(world):
    before = files(world)
    world.changed.clear()
    Run(world, "credentials status")()
    assert files(world) == before
    assert {call.order for call in world.changed} - {""} == set()
    assert set(known(world)[world.nodes[0].name]) == set(NAMES)


def test_each_call_of_kubeadm_is_for_one_certificate(world):
    calls: list[Call] = []
    world.watchers.append(lambda call: calls.append(call))
    renew(world, only=("apiserver", "scheduler.conf"))
    asked = [call.fields["words"][1:] for call in calls if call.order == "kubeadm"]
    assert asked == [
        ["certs", "renew", name] for _ in world.nodes for name in ("apiserver", "scheduler.conf")
    ]
