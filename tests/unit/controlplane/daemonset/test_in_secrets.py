"""A DaemonSet's pods mount Secrets where the node's files were, and the way back is exact."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from test_reads import pod

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.daemonset import in_secrets, reads, stored
from kubectl_selfhost.controlplane.daemonset.build import build
from kubectl_selfhost.controlplane.daemonset.facts import AgentFacts, NodeFacts
from kubectl_selfhost.controlplane.daemonset.stored import HostFile, Stored
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.reboot import recovery

NODES = ("cp-1", "a.node.with.a.long.name.example.org")
FACTS = NodeFacts("cp-1", "192.0.2.1", "192.0.2.1", "amd64")
AGENT = AgentFacts("amd64", "kubectl-selfhost-agent-amd64-0", "/etc/kubernetes/kubectl-selfhost")


def daemonset(component: Component) -> dict[str, Any]:
    return build(component, pod(component), nodes=[FACTS], agent=AGENT)


def files(node: str) -> dict[str, HostFile]:
    paths = {one.path for c in COMPONENTS for one in reads.of(c, daemonset(c)["spec"]["template"])}
    own = {p for p in paths if not p.endswith(("ca.crt", "ca.key", "sa.key", "sa.pub"))}
    return {
        path: HostFile(path, "0600", 0, 0, f"{path} {node if path in own else ''}".encode())
        for path in paths
    }


@pytest.fixture
def made() -> Stored:
    found = {c: reads.of(c, daemonset(c)["spec"]["template"]) for c in COMPONENTS}
    return Stored(found, dict.fromkeys(COMPONENTS, NODES), {n: files(n) for n in NODES})


def moved(component: Component, of: Stored, before: dict | None = None) -> dict[str, Any]:
    names = {"kubeconfig": f"{component.name.removeprefix('kube-')}.conf"}
    return in_secrets.with_secrets(before or daemonset(component), of.volumes(component), names)


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_the_way_back_is_exact(made, component):
    before = daemonset(component)
    there = moved(component, made)
    assert in_secrets.is_in_secrets(there)
    assert not in_secrets.is_in_secrets(before)
    assert in_secrets.with_host_files(there) == before
    assert in_secrets.with_host_files(before) == before


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_moving_again_remembers_the_node_s_files(made, component):
    there = moved(component, made)
    assert moved(component, made, there) == there


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_flags_and_paths_stay(made, component):
    before, there = (
        one["spec"]["template"]["spec"]["containers"][0]
        for one in (daemonset(component), moved(component, made))
    )
    assert there["command"] == before["command"]
    assert [one["mountPath"] for one in there["volumeMounts"]] == [
        one["mountPath"] for one in before["volumeMounts"]
    ]


def test_a_file_is_mounted_as_a_file(made):
    spec = moved(SCHEDULER, made)["spec"]["template"]["spec"]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount["subPathExpr"] == "$(NODE_NAME)/scheduler.conf"
    assert mount["mountPath"] == "/etc/kubernetes/scheduler.conf"


def test_a_variable_of_that_name_is_left_alone(made):
    before = daemonset(SCHEDULER)
    before["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "NODE_NAME", "value": "something else"}
    ]
    there = moved(SCHEDULER, made, before)
    (mount,) = there["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert mount["subPathExpr"].startswith("$(SELFHOST_NODE_NAME)")
    assert in_secrets.with_host_files(there) == before


def test_a_component_that_is_not_root_reads_by_its_group(made):
    before = daemonset(SCHEDULER)
    context = before["spec"]["template"]["spec"].setdefault("securityContext", {})
    context.update(runAsUser=1001, runAsGroup=1002)
    there = moved(SCHEDULER, made, before)
    assert there["spec"]["template"]["spec"]["securityContext"]["fsGroup"] == 1002
    assert in_secrets.with_host_files(there) == before
    root = moved(SCHEDULER, made)["spec"]["template"]["spec"]
    assert "fsGroup" not in (root.get("securityContext") or {})


@pytest.mark.parametrize("component", COMPONENTS, ids=str)
def test_a_recovery_copy_reads_the_node_s_files(made, component):
    before, there = daemonset(component), moved(component, made)
    assert recovery.copy_of(there, component, FACTS) == recovery.copy_of(before, component, FACTS)


def test_only_the_controller_manager_gets_the_authority_s_key(made):
    (signer,) = (name for _, name in made.names() if "signer" in name)
    users = [
        c for c in COMPONENTS if ("Secret", signer) in stored.named_in(made.volumes(c).values())
    ]
    assert users == [CONTROLLER_MANAGER]


def test_keys_are_for_their_reader_alone(made):
    for component in COMPONENTS:
        for volume in made.volumes(component).values():
            for source in volume["projected"]["sources"]:
                for item in next(iter(source.values()))["items"]:
                    private = item["path"].endswith((".key", ".conf"))
                    assert item["mode"] == (0o400 if private else 0o444), item


def test_each_node_has_a_folder_of_its_own(made):
    items = [
        item
        for volume in made.volumes(APISERVER).values()
        for source in volume["projected"]["sources"]
        for item in next(iter(source.values()))["items"]
    ]
    assert {item["path"].partition("/")[0] for item in items} == set(NODES)
    assert len({item["path"] for item in items}) == len(items) == 13 * len(NODES)


def test_another_content_is_another_object(made):
    other = {n: files(n) for n in NODES}
    at = other["cp-1"]["/scheduler.conf"]
    other["cp-1"]["/scheduler.conf"] = HostFile(at.path, at.mode, at.uid, at.gid, b"new")
    found = {c: reads.of(c, daemonset(c)["spec"]["template"]) for c in COMPONENTS}
    changed = Stored(found, dict.fromkeys(COMPONENTS, NODES), other)
    (name,) = set(changed.names()) - set(made.names())
    assert name[1].startswith("self-hosted-kube-scheduler-cp-1-")


def test_an_object_says_which_files_it_was_made_from(made):
    for one in made.objects():
        assert stored.is_sound(one)
        for file in stored.host_files(one).values():
            assert file in (*files(NODES[0]).values(), *files(NODES[1]).values())
        spoilt = deepcopy(one)
        held = spoilt["data" if one["kind"] == "Secret" else "binaryData"]
        held[next(iter(held))] = "AAAA"
        assert not stored.is_sound(spoilt)


def test_names_are_short_enough_and_keep_nodes_apart(made):
    names = [name for _, name in made.names()]
    assert len(set(names)) == len(names) == 3 + 3 * len(NODES)
    assert max(map(len, names)) <= 80


def test_what_a_node_reads(made):
    volumes = list(made.volumes(SCHEDULER).values())
    (found,) = stored.on_node(volumes, "cp-1").items()
    assert found[0][1].startswith("self-hosted-kube-scheduler-cp-1-")
    assert found[1] == ["scheduler.conf"]


def test_what_nodes_must_have_alike(made):
    other = {n: files(n) for n in NODES}
    at = other["cp-1"]["/pki/ca.crt"]
    other["cp-1"]["/pki/ca.crt"] = HostFile(at.path, at.mode, at.uid, at.gid, b"another")
    found = {c: reads.of(c, daemonset(c)["spec"]["template"]) for c in COMPONENTS}
    with pytest.raises(SelfhostError, match=r"/etc/kubernetes/pki/ca\.crt differs between"):
        Stored(found, dict.fromkeys(COMPONENTS, NODES), other).objects()


def test_no_text_shows_what_a_file_has(made):
    assert "secret" not in repr(HostFile("/a", "0600", 0, 0, b"secret"))
