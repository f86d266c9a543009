"""Credentials go into Secrets and back: every component reads its own, and no key is told on the way."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from fakes.branches import came_to_its_end, stored
from fakes.credentials import Credentials
from fakes.edge import Call
from fakes.runs import Run, Seen
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, SCHEDULER
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, in_file
from kubectl_selfhost.controlplane.daemonset import in_secrets
from kubectl_selfhost.engine.preflight import PreflightFailed
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import HOST_VOLUMES_ANNOTATION, JOURNAL
from kubectl_selfhost.node.sealed import BrokenSeal

TO_SECRETS, TO_HOST = "credentials to-secrets", "credentials to-host"
RENEW = "credentials renew"
_built: dict[tuple[int, bool], World] = {}


@pytest.fixture(params=[1, 3])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a pivoted control plane; all of them are alike."""
    return _made(request.param, monkeypatch, moved=False)


@pytest.fixture(params=[1, 3])
def moved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return one whose credentials are in Secrets."""
    return _made(request.param, monkeypatch, moved=True)


def _made(nodes: int, monkeypatch: pytest.MonkeyPatch, *, moved: bool) -> World:
    if (nodes, moved) not in _built:
        made = World(nodes=nodes, monkeypatch=monkeypatch)
        for verb in ("pivot", *([TO_SECRETS] if moved else [])):
            run(made, verb)
            made.pass_time(60)
        made.changed.clear()
        _built[nodes, moved] = made
    return _built[nodes, moved].copy(monkeypatch)


def run(world: World, verb: str, **options: Any) -> Seen:
    made = Run(world, verb, options)
    made()
    return made.seen


def daemonset(world: World, component: Any) -> dict:
    return world.store.get("daemonsets", component.daemonset, "kube-system")


def template(world: World, component: Any) -> dict:
    found: dict = daemonset(world, component)["spec"]["template"]
    return found


def seen_by(world: World, component: Any, node: str) -> dict[str, bytes]:
    """Return what a pod of the component finds on a node: files by their paths in its container."""
    spec = template(world, component)["spec"]
    volumes = {one["name"]: one for one in spec["volumes"]}
    found = {}
    for mount in spec["containers"][0]["volumeMounts"]:
        if "subPathExpr" not in mount:
            continue
        folder = mount["subPathExpr"].replace("$(NODE_NAME)", node)
        for path, content in _projected(world, volumes[mount["name"]]).items():
            if path == folder:
                found[mount["mountPath"]] = content
            elif path.startswith(f"{folder}/"):
                found[mount["mountPath"] + path.removeprefix(folder)] = content
    return found


def _projected(world: World, volume: dict) -> dict[str, bytes]:
    found = {}
    for source in volume["projected"]["sources"]:
        for field, plural, data in (
            ("secret", "secrets", "data"),
            ("configMap", "configmaps", "binaryData"),
        ):
            if field in source:
                one = world.store.get(plural, source[field]["name"], "kube-system")
                for item in source[field]["items"]:
                    found[item["path"]] = base64.b64decode(one[data][item["key"]])
    return found


def test_each_pod_finds_its_nodes_files_where_they_were(world):
    run(world, TO_SECRETS)
    for node in world.nodes:
        there = {f"/etc/kubernetes{path}": one for path, one in node.credentials.files.items()}
        found = {c.name: seen_by(world, c, node.name) for c in COMPONENTS}
        for files in found.values():
            assert files == {path: there[path] for path in files}
        assert {path.removeprefix("/etc/kubernetes/pki/") for path in found["kube-apiserver"]} == {
            *("ca.crt", "etcd/ca.crt", "front-proxy-ca.crt", "sa.key", "sa.pub"),
            *("apiserver.crt", "apiserver.key"),
            *("apiserver-etcd-client.crt", "apiserver-etcd-client.key"),
            *("apiserver-kubelet-client.crt", "apiserver-kubelet-client.key"),
            *("front-proxy-client.crt", "front-proxy-client.key"),
        }
        assert {path.removeprefix("/etc/kubernetes/") for path in found["kube-scheduler"]} == {
            "scheduler.conf"
        }
        manager = {p.removeprefix("/etc/kubernetes/") for p in found["kube-controller-manager"]}
        assert manager == {
            *("controller-manager.conf", "pki/ca.crt", "pki/ca.key"),
            *("pki/front-proxy-ca.crt", "pki/sa.key"),
        }


def test_the_run_costs_nothing(world):
    seen = run(world, TO_SECRETS)
    assert world.unserved() == []
    assert world.silent_api == world.empty_service == 0
    assert seen.warnings == []
    came_to_its_end(world, TO_SECRETS)


def test_the_keys_of_etcds_and_the_front_proxys_authorities_go_nowhere(world):
    run(world, TO_SECRETS)
    held = json.dumps([one for (plural, _, _), one in world.store.all() if plural == "secrets"])
    for path in ("/pki/etcd/ca.key", "/pki/front-proxy-ca.key"):
        for node in world.nodes:
            assert base64.b64encode(node.credentials.files[path]).decode() not in held


def test_no_key_is_told_but_in_secrets(world):
    """Neither in an order or an answer, nor in another object, nor to a person."""
    told: list[str] = []
    world.watchers.append(
        lambda call: told.append(f"{call.path} {call.fields} {call.body}" if _tells(call) else "")
    )
    seen = run(world, TO_SECRETS)
    seen_back = run(world, TO_HOST)
    others = [one for (plural, _, _), one in world.store.all() if plural != "secrets"]
    text = json.dumps(others) + "".join(told) + str(vars(seen)) + str(vars(seen_back))
    for node in world.nodes:
        for path, content in node.credentials.files.items():
            if path.endswith((".key", ".conf")):
                for form in (content.decode(), base64.b64encode(content).decode(), content.hex()):
                    assert form not in text
    assert "PRIVATE KEY" not in text


def _tells(call: Call) -> bool:
    return not call.path.endswith("/secrets")


def test_secrets_are_immutable_and_nobody_owns_them(world):
    run(world, TO_SECRETS)
    names = stored(world)
    assert len(names) == 3 + 3 * len(world.nodes)
    for (_plural, _, name), one in world.store.all():
        if name in names:
            assert one["immutable"] is True
            assert not {"ownerReferences", "finalizers"} & set(one["metadata"])


def test_a_second_run_changes_no_pod(moved):
    seen = run(moved, TO_SECRETS)
    rolled = [o for n, o in zip(seen.steps, seen.outcomes, strict=True) if n.startswith("roll-out")]
    assert rolled == ["already done"] * 3


def test_new_files_make_new_secrets_and_the_old_ones_go(moved):
    before = stored(moved)
    for node in moved.nodes:
        node.credentials.make(node.credentials.files, "scheduler.conf", days=300)
    seen = run(moved, TO_SECRETS)
    rolled = dict(zip(seen.steps, seen.outcomes, strict=True))
    assert rolled["roll-out/kube-scheduler"] == "done"
    assert rolled["roll-out/kube-apiserver"] == "already done"
    assert len(before - stored(moved)) == len(moved.nodes)
    came_to_its_end(moved, TO_SECRETS)


def test_the_way_back_is_exact(world):
    def specs() -> list[dict]:
        found = []
        for component in COMPONENTS:
            spec = json.loads(json.dumps(template(world, component)["spec"]))
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                spec["containers"][0].get(probe, {}).get("httpGet", {}).pop("host", None)
            found.append(spec)
        return found

    before, files = specs(), [dict(node.credentials.files) for node in world.nodes]
    run(world, TO_SECRETS)
    assert specs() != before
    run(world, TO_HOST)
    assert specs() == before
    assert [node.credentials.files for node in world.nodes] == files
    came_to_its_end(world, TO_HOST)


def test_a_file_that_is_missing_or_differs_is_put_back(moved):
    node = moved.nodes[-1]
    before = dict(node.credentials.files)
    del node.credentials.files["/pki/sa.key"]
    node.credentials.make(node.credentials.files, "controller-manager.conf", days=5)
    newer = node.credentials.files["/controller-manager.conf"]
    run(moved, TO_HOST)
    assert node.credentials.files == before
    (kept,) = node.credentials.sets.values()
    assert kept == {"/controller-manager.conf": newer}


def test_another_authority_on_the_node_is_not_replaced(moved):
    node = moved.nodes[-1]
    node.credentials.files["/pki/ca.crt"] += b"# another\n"
    before = dict(node.credentials.files)
    with pytest.raises(SelfhostError, match=r"The authority /etc/kubernetes/pki/ca\.crt"):
        run(moved, TO_HOST)
    assert node.credentials.files == before
    assert in_secrets.is_in_secrets(daemonset(moved, APISERVER))


def test_a_secret_that_is_gone_is_made_again(moved):
    name = next(one for one in stored(moved) if one.startswith("self-hosted-sa-"))
    moved.store.remove("secrets", name, "kube-system")
    with pytest.raises(SelfhostError, match=f"{name} in kube-system is gone") as raised:
        run(moved, TO_HOST)
    assert TO_SECRETS in raised.value.hint
    run(moved, TO_SECRETS)
    came_to_its_end(moved, TO_SECRETS)


def test_a_secret_that_somebody_else_made_is_not_used(world):
    run(world, TO_SECRETS)
    name = next(one for one in stored(world) if one.startswith("self-hosted-sa-"))
    run(world, TO_HOST)
    world.store.create(
        "secrets",
        {
            "metadata": {"name": name, "namespace": "kube-system"},
            "data": {"sa.key": ""},
            "immutable": True,
        },
    )
    with pytest.raises(SelfhostError, match=f"{name} in kube-system does not have the content"):
        run(world, TO_SECRETS)
    assert not in_secrets.is_in_secrets(daemonset(world, APISERVER))


def test_nodes_whose_authorities_differ_are_refused(monkeypatch):
    world = _made(3, monkeypatch, moved=False)
    world.nodes[1].credentials.files["/pki/front-proxy-ca.crt"] += b"\n"
    with pytest.raises(SelfhostError, match=r"front-proxy-ca\.crt differs between the nodes cp-"):
        run(world, TO_SECRETS)
    assert stored(world) == set()


def another_key(here: Credentials) -> None:
    here.spoil = "key"
    here.make(here.files, "apiserver", days=50)


def no_kubeconfig(here: Credentials) -> None:
    here.files["/scheduler.conf"] = b"nothing: at all\n"


def names_a_file(here: Credentials) -> None:
    here.files["/scheduler.conf"] = (
        b"clusters: []\nusers: [{user: {client-certificate: /var/lib/kubelet/pki/a.pem}}]\n"
    )


def missing(here: Credentials) -> None:
    del here.files["/pki/sa.key"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (another_key, "apiserver.crt: key values mismatch"),
        (no_kubeconfig, "scheduler.conf: it is no kubeconfig"),
        (names_a_file, r"names the file /var/lib/kubelet/pki/a\.pem"),
        (missing, "sa.key is gone"),
    ],
)
def test_what_is_not_sound_is_not_used(world, fault, why):
    fault(world.nodes[-1].credentials)
    before = [template(world, component) for component in COMPONENTS]
    with pytest.raises(SelfhostError, match=why):
        run(world, TO_SECRETS)
    assert stored(world) == set()
    assert [template(world, component) for component in COMPONENTS] == before
    assert world.unserved() == []


def test_a_component_that_does_not_serve_keeps_its_files(world):
    world.spoils = lambda one: "crashing" if one.component == SCHEDULER.name else ""
    with pytest.raises(SelfhostError, match="kube-scheduler"):
        run(world, TO_SECRETS)
    world.spoils = lambda _: ""
    world.pass_time(60)
    assert world.unserved() == []
    assert not in_secrets.is_in_secrets(daemonset(world, SCHEDULER))
    assert not [name for name in stored(world) if "scheduler" in name]


def test_an_answer_that_the_agent_did_not_give_is_refused(world, monkeypatch):
    agent = world.nodes[-1].agent
    sound = agent._seal

    def forged(fields: dict[str, Any]) -> dict[str, Any]:
        sealed = bytearray.fromhex(sound(fields)["sealed"])
        sealed[-1] ^= 1
        return {"sealed": sealed.hex()}

    monkeypatch.setattr(agent, "_seal", forged)
    with pytest.raises(BrokenSeal):
        run(world, TO_SECRETS)
    assert stored(world) == set()


def test_a_file_that_changes_while_it_is_read_is_read_again(world):
    node = world.nodes[-1]
    changed: list[str] = []

    def renew(call: Call) -> None:
        if call.order == "certificates" and not changed:
            changed.append(call.path)
            node.credentials.make(node.credentials.files, "scheduler.conf", days=300)

    order = world.order

    def ordered(pod: str, name: str, fields: dict[str, Any]) -> dict:
        if name == "certificates":
            renew(Call("kubeadm", "EXEC", pod, order=name, fields=fields))
        return order(pod, name, fields)

    world.order = ordered
    run(world, TO_SECRETS)
    assert changed
    found = seen_by(world, SCHEDULER, node.name)
    assert found == {"/etc/kubernetes/scheduler.conf": node.credentials.files["/scheduler.conf"]}


def test_a_look_tells_files_that_differ_from_secrets(moved):
    def told() -> dict[str, Any]:
        run(moved, "credentials status")
        held = moved.store.get("configmaps", JOURNAL, "kube-system")["data"]["journal.json"]
        found = json.loads(held)["credentials"][moved.nodes[-1].name]["certificates"]
        return {name: one["inUse"] for name, one in found.items()}

    assert set(told().values()) == {True, None}
    assert told()["apiserver-etcd-client"] is told()["scheduler.conf"] is True
    node = moved.nodes[-1]
    node.credentials.make(node.credentials.files, "scheduler.conf", days=300)
    assert [name for name, used in told().items() if used is False] == ["scheduler.conf"]
    run(moved, TO_SECRETS)
    assert told()["scheduler.conf"] is True


def certificates(content: bytes) -> str:
    """Return the number of the certificate in a file."""
    inside = re.search(rb"client-certificate-data: (\S+)", content)
    found = in_file(inside[1] if inside else content)
    assert found is not None
    return f"{found.serial:x}"


def test_a_renewal_makes_new_files_and_new_secrets(moved):
    before = [dict(node.credentials.files) for node in moved.nodes]
    secrets = stored(moved)
    seen = run(moved, RENEW)
    assert moved.unserved() == []
    assert moved.silent_api == moved.empty_service == 0
    assert not any("failed" in one for one in seen.outcomes)
    for node, was in zip(moved.nodes, before, strict=True):
        now = node.credentials.files
        for one in CREDENTIALS:
            assert certificates(now[one.certificate]) != certificates(was[one.certificate])
        for component in COMPONENTS:
            found = seen_by(moved, component, node.name)
            assert found == {path: now[path.removeprefix("/etc/kubernetes")] for path in found}
    # What all nodes share did not change: authorities, and the keys of service accounts.
    assert len(secrets & stored(moved)) == 3
    came_to_its_end(moved, TO_SECRETS)
    held = moved.store.get("configmaps", JOURNAL, "kube-system")["data"]["journal.json"]
    for told in json.loads(held)["credentials"].values():
        assert {one["inUse"] for one in told["certificates"].values()} == {True, None}


def test_a_renewal_of_one_component_rolls_out_that_one(moved):
    seen = run(moved, RENEW, only=("scheduler.conf",))
    rolled = dict(zip(seen.steps, seen.outcomes, strict=True))
    assert rolled["roll-out/kube-scheduler"] == "done"
    assert rolled["roll-out/kube-apiserver"] == "already done"
    assert rolled["roll-out/kube-controller-manager"] == "already done"


def test_if_nothing_ends_soon_a_renewal_changes_nothing(moved):
    before = stored(moved), [dict(node.credentials.files) for node in moved.nodes]
    seen = run(moved, RENEW, less_than=60 * 86400.0)
    assert (stored(moved), [node.credentials.files for node in moved.nodes]) == before
    assert not [
        name
        for name, how in zip(seen.steps, seen.outcomes, strict=True)
        if how == "done" and name.startswith(("roll-out", "place-", "new-", "store-"))
    ]


def test_a_renewal_that_fails_leaves_files_and_secrets_as_they_were(moved):
    before = stored(moved), [dict(node.credentials.files) for node in moved.nodes]
    volumes = [template(moved, c)["spec"]["volumes"] for c in COMPONENTS]
    moved.spoils = lambda one: "crashing" if one.component == APISERVER.name else ""
    with pytest.raises(SelfhostError, match="kube-apiserver"):
        run(moved, RENEW)
    moved.spoils = lambda _: ""
    moved.pass_time(60)
    assert moved.unserved() == []
    assert (stored(moved), [node.credentials.files for node in moved.nodes]) == before
    assert [template(moved, c)["spec"]["volumes"] for c in COMPONENTS] == volumes


def test_a_renewal_of_a_mixture_is_refused(world):
    world.spoils = lambda one: "crashing" if one.component == SCHEDULER.name else ""
    with pytest.raises(SelfhostError, match="kube-scheduler"):
        run(world, TO_SECRETS)
    world.spoils = lambda _: ""
    world.pass_time(60)
    assert in_secrets.is_in_secrets(daemonset(world, APISERVER))
    with pytest.raises(SelfhostError, match="Some components read their credentials"):
        run(world, RENEW)


def test_a_revert_says_what_to_do_first(moved):
    before = stored(moved)
    with pytest.raises(SelfhostError, match="read their credentials from Secrets") as raised:
        run(moved, "revert")
    assert "kubectl selfhost credentials to-host" in raised.value.hint
    assert stored(moved) == before


@pytest.mark.parametrize("verb", ["rollout", "sync"])
def test_what_does_not_look_at_files_works(moved, verb):
    run(moved, verb)
    came_to_its_end(moved, verb)
    assert in_secrets.is_in_secrets(daemonset(moved, APISERVER))


def test_a_node_that_joins_is_refused_with_the_way(monkeypatch):
    world = World(nodes=3, monkeypatch=monkeypatch)
    run(world, "pivot", nodes=("cp-1", "cp-2"))
    world.pass_time(60)
    run(world, TO_SECRETS)
    with pytest.raises(PreflightFailed) as failed:
        run(world, "pivot")
    (found,) = (one for one in failed.value.findings if one.check == "NodesAlike")
    assert "have none of a new node" in found.finding
    run(world, TO_HOST)
    run(world, "pivot")
    run(world, TO_SECRETS)
    came_to_its_end(world, TO_SECRETS)


def test_recovery_copies_read_the_nodes_files(world):
    before = [dict(node.disk.recovery) for node in world.nodes]
    run(world, TO_SECRETS)
    for node, was in zip(world.nodes, before, strict=True):
        assert {name: one for name, one in node.disk.recovery.items() if "yaml" in name} == {
            name: one for name, one in was.items() if "yaml" in name
        }


def test_a_component_that_leads_by_another_lease_is_the_same(world):
    verb = Run(world, TO_SECRETS).command(world.client().cluster())
    move = verb.prepare(Seen()).whole  # type: ignore[arg-type]
    assert in_secrets.is_in_secrets(move.after(replace(SCHEDULER, lease="another")))


def test_the_journal_has_names_alone(world):
    run(world, TO_SECRETS)
    held = world.store.get("configmaps", JOURNAL, "kube-system")["data"]["journal.json"]
    for node in world.nodes:
        names = json.loads(held)["nodes"][node.name]["kube-scheduler"]["credentials"]
        assert all(re.fullmatch(r"self-hosted-[a-z0-9-]+-[0-9a-f]{10}", one) for one in names)
        assert set(names) <= stored(world)


def test_a_revert_after_the_way_back_leaves_nothing(moved):
    run(moved, TO_HOST)
    moved.pass_time(60)
    run(moved, "revert")
    moved.pass_time(60)
    came_to_its_end(moved, "revert")


def test_there_is_nothing_to_bring_back(world):
    assert run(world, TO_HOST).steps == []


def test_what_was_mounted_is_remembered_without_content(moved):
    kept = template(moved, APISERVER)["metadata"]["annotations"][HOST_VOLUMES_ANNOTATION]
    assert json.loads(kept)["volumes"][0]["hostPath"]["path"] == "/etc/kubernetes/pki"
    assert "BEGIN" not in kept
