"""The commands that only look, and what they make of odd names, contents and arguments."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from agent_node import COMPONENT, FILE, MANIFEST, Node


def content_of(entry: dict) -> bytes:
    content: str = entry.pop("content")
    return bytes.fromhex(content)


def names(answer: dict) -> list[str]:
    return [entry["name"] for entry in answer["files"]]


def test_a_manifest_is_listed_whole(node: Node) -> None:
    (entry,) = node.order("list", manifests=node.manifests)["files"]
    assert content_of(entry) == MANIFEST
    assert entry == {
        "name": FILE,
        "mode": "0600",
        "sha256": hashlib.sha256(MANIFEST).hexdigest(),
    }


@pytest.mark.parametrize("size", [0, 1, 2, 3, 55, 56, 63, 64, 65, 119, 120, 5000, 256 * 1024])
def test_any_content_comes_over(node: Node, size: int) -> None:
    content = os.urandom(size)
    node.put_manifest(content)
    (entry,) = node.order("list", manifests=node.manifests)["files"]
    assert content_of(entry) == content
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_large_files_content_is_left_out(node: Node) -> None:
    node.put_manifest(b"x" * (256 * 1024 + 1))
    (entry,) = node.order("list", manifests=node.manifests)["files"]
    assert entry["content"] is None


def test_only_what_the_kubelet_reads_is_listed(node: Node) -> None:
    (node.manifests / ".hidden.yaml").touch()
    (node.manifests / "folder").mkdir()
    os.mkfifo(node.manifests / "pipe")
    (node.manifests / "a.yaml").touch()
    assert names(node.order("list", manifests=node.manifests)) == ["a.yaml", FILE]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b'quote".yaml', 'quote".yaml'),
        (b"back\\slash", "back\\slash"),
        (b"new\nline\x1b[31m", "new\nline\x1b[31m"),
        ("grüße-日本-🙂".encode(), "grüße-日本-🙂"),
        (b"bad\xff\xc3(\xed\xa0\x80\xf5", "bad\xff\xc3(\xed\xa0\x80\xf5"),
        (b"cut\xe2\x82", "cut\xe2\x82"),
    ],
)
def test_any_file_name_is_valid_json(node: Node, name: bytes, shown: str) -> None:
    with open(os.path.join(os.fsencode(node.manifests), b"%s" % name), "wb"):
        pass
    assert shown in names(node.order("list", manifests=node.manifests))


def test_many_files_are_listed_in_order(node: Node) -> None:
    for number in range(100):
        (node.manifests / f"m{number:03}.yaml").touch()
    listed = names(node.order("list", manifests=node.manifests))
    assert len(listed) == 101
    assert listed == sorted(listed)


def test_too_many_files_are_refused(node: Node) -> None:
    for number in range(130):
        (node.manifests / f"m{number}.yaml").touch()
    assert "more than 128" in node.order("list", manifests=node.manifests)["error"]


def test_no_manifests_directory_is_told(node: Node) -> None:
    answer = node.order("list", manifests=node.manifests / "none")
    assert answer == {
        "error": f"cannot list {node.manifests}/none: No such file or directory",
        "code": "not-found",
    }


def test_kept_manifests_are_listed_by_component(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
    (entry,) = node.order("list")["files"]
    assert (entry["component"], entry["name"]) == (COMPONENT, FILE)
    assert content_of(entry) == MANIFEST


def test_nothing_is_kept_where_nothing_was_done(node: Node) -> None:
    assert node.order("list") == {"files": []}


def test_check_says_what_a_run_needs(node: Node) -> None:
    answer = node.order("check", manifests=node.manifests)
    assert answer == {"same_filesystem": True, "guardian": "", "selinux_enforces": False}
    assert sorted(path.name for path in node.dir.iterdir()) == []


def test_check_needs_the_manifests_directory(node: Node) -> None:
    answer = node.order("check", manifests="/no/such")
    assert answer["code"] == "not-found"


def test_status_of_a_fresh_node_is_idle(node: Node) -> None:
    status = node.status()
    assert status["state"] == "idle"
    assert not status["agent_running"]
    assert not node.dir.exists()


def test_status_during_a_hand_over(node: Node) -> None:
    node.listen(on=True)
    with node.serving():
        node.arm()
        node.started(3)
        status = node.status()
    assert status["listening"]
    assert (status["instance_processes"], status["restarts"]) == (0, 2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "which command?"),
        (["fly"], "there is no command 'fly'"),
        (["arm"], "there is no command 'arm'"),
        (["order", "--dir", "/x"], "order takes no dir"),
        (["serve"], "serve needs dir"),
        (["serve", "--dir"], "--dir needs a value"),
        (["serve", "--dir", "relative"], "dir can't be 'relative'"),
        (["serve", "--dir", "/x\ny"], "dir can't be"),
        (["serve", "--dir", "/" + "x" * 2000], "dir can't be"),
        (["guard", "--fly", "1"], "there is no option 'fly'"),
        (["wait-port", "--dir", "/x"], "wait-port takes no dir"),
        (["wait-port", "--port", "0"], "port can't be '0'"),
        (["wait-port", "--port", "65536"], "port can't be '65536'"),
        (["wait-port", "--port", "+80"], "port can't be '+80'"),
        (["wait-port", "--port", "99999999999999999999"], "port can't be"),
        (["wait-port", "--port", "80", "--address", "here"], "--address can't be 'here'"),
        (["wait-port", "--port", "80"] + ["--address", "::1"] * 9, "more than 8 times"),
    ],
)
def test_wrong_arguments_are_told(node: Node, words: list[str], complaint: str) -> None:
    answer = node.run(*words)
    assert answer["code"] == "usage"
    assert complaint in answer["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("component", "../etc"),
        ("component", ""),
        ("component", "Kube"),
        ("file", "a/b"),
        ("file", ".hidden"),
        ("file", ".."),
        ("file", "hold"),
        ("sha256", "abc"),
        ("sha256", "A" * 64),
        ("static_uid", "pod"),
        ("instance_uids", ["12345678/"]),
        ("limit", 0),
    ],
)
def test_dangerous_orders_are_refused(node: Node, field: str, value: object) -> None:
    with node.serving():
        answer = node.arm(**{field: value})
    assert answer["code"] == "usage"
    assert f"{field} can't be" in answer["error"] or value == "hold"
    assert node.manifest.exists()


def test_a_full_pipe_of_answers_is_a_failure(node: Node) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        assert subprocess.run([node.program, "version"], stdout=full).returncode == 1


def test_links_are_told_with_their_targets(node: Node) -> None:
    (node.manifests / "kube-scheduler.yaml").symlink_to("/data/scheduler.yaml")
    (node.manifests / ".hidden.yaml").symlink_to("/data/x")
    answer = node.order("list", manifests=node.manifests)
    assert names(answer) == [FILE]
    assert answer["links"] == [{"name": "kube-scheduler.yaml", "target": "/data/scheduler.yaml"}]


def test_a_directory_that_is_a_link_to_nowhere_is_named(node: Node) -> None:
    link = node.dir.parent / "linked"
    link.symlink_to("/data/manifests")
    answer = node.order("list", manifests=link)
    assert answer["code"] == "not-found"
    assert f"{link} is a symbolic link to /data/manifests" in answer["error"]
    link.unlink()
    link.symlink_to(node.manifests)
    assert names(node.order("list", manifests=link)) == [FILE]


@pytest.mark.parametrize(("text", "enforces"), [("1", True), ("0", False), (None, False)])
def test_selinux_is_told(node: Node, text: str | None, *, enforces: bool) -> None:
    if text is not None:
        folder = node.proc / "1/root/sys/fs/selinux"
        folder.mkdir(parents=True)
        (folder / "enforce").write_text(text)
    answer = node.order("check", manifests=node.manifests)
    assert answer["selinux_enforces"] is enforces
