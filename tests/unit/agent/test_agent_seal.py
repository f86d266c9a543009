"""The agent seals and opens as ``node.sealed`` does, and gives nothing else away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from agent_node import Node

from kubectl_selfhost.node.sealed import BrokenSeal, SealKey, from_node, to_node

KEY = SealKey("a-name", bytes(range(64)))
FILE = "/pki/apiserver.key"
CONTENT = b"-----BEGIN PRIVATE KEY-----\n" + bytes(range(256)) * 20


@pytest.fixture
def key(node: Node) -> str:
    """Return the file with the key, on a node that has a file to seal."""
    root = node.dir.parent
    (root / "pki/etcd").mkdir(parents=True)
    (root / "pki/apiserver.key").write_bytes(CONTENT)
    (root / "pki/apiserver.key").chmod(0o640)
    (root / "key").write_bytes(KEY.secret)
    return str(root / "key")


def test_a_file_comes_sealed_with_its_mode_and_owner(node, key):
    answer = node.order("seal", files=[FILE], reason="my-question", key=key)
    plain = KEY.unseal(from_node(FILE, "my-question"), bytes.fromhex(answer["sealed"]))
    facts = (node.dir.parent / "pki/apiserver.key").stat()
    line = f"0640 {facts.st_uid} {facts.st_gid}\n"
    assert plain == line.encode() + CONTENT
    assert "PRIVATE KEY" not in str(answer)


def test_an_answer_is_for_its_own_question(node, key):
    answer = node.order("seal", files=[FILE], reason="my-question", key=key)
    with pytest.raises(BrokenSeal):
        KEY.unseal(from_node(FILE, "another"), bytes.fromhex(answer["sealed"]))


def test_no_two_answers_are_alike(node, key):
    fields = {"files": [FILE], "reason": "q", "key": key}
    assert node.order("seal", **fields) != node.order("seal", **fields)


@pytest.mark.parametrize("file", ["/pki/none", "/pki/../../key", "/pki"])
def test_what_is_no_file_of_the_node_is_refused(node, key, file):
    assert "error" in node.order("seal", files=[file], reason="q", key=key)


def test_a_link_is_not_followed(node, key):
    (node.dir.parent / "pki/link").symlink_to(node.dir.parent / "pki/apiserver.key")
    assert "error" in node.order("seal", files=["/pki/link"], reason="q", key=key)


def test_without_a_whole_key_nothing_is_sealed(node, key):
    Path(key).write_bytes(KEY.secret[:63])
    answer = node.order("seal", files=[FILE], reason="q", key=key)
    assert answer["code"] == "state"
    assert node.order("seal", files=[FILE], reason="q", key=f"{key}-none")["code"] == "state"


def put(node: Node, key: str, sealed: bytes, file: str = FILE, to: str = "new") -> dict:
    return node.order("unseal", files=[file], content=sealed, key=key, to=to)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_a_file_is_written_with_its_mode_and_owner(node, key, content):
    line = f"0640 {os.getuid()} {os.getgid()}\n".encode()
    assert put(node, key, KEY.seal(to_node(FILE, "new"), line + content)) == {"stored": FILE}
    made = node.dir / "credentials/new/pki/apiserver.key"
    assert made.read_bytes() == content
    assert stat.S_IMODE(made.stat().st_mode) == 0o640
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "label",
    [to_node("/pki/ca.key", "new"), to_node(FILE, "old"), from_node(FILE, "new")],
)
def test_what_was_sealed_for_elsewhere_is_refused(node, key, label):
    sealed = KEY.seal(label, b"0600 0 0\nx")
    assert put(node, key, sealed)["code"] == "changed"
    assert not (node.dir / "credentials/new/pki/apiserver.key").exists()


@pytest.mark.parametrize("at", [0, 20, 50, -1])
def test_a_changed_byte_is_noticed(node, key, at):
    raw = bytearray(KEY.seal(to_node(FILE, "new"), b"0600 0 0\nand the bytes"))
    raw[at] ^= 1
    assert put(node, key, bytes(raw))["code"] == "changed"


@pytest.mark.parametrize("sealed", [b"", b"0", b"0" * 47])
def test_what_is_no_seal_is_refused(node, key, sealed):
    assert put(node, key, sealed)["code"] == "usage"


@pytest.mark.parametrize("line", [b"", b"no line", b"x y z\n", b"77777 0 0\n"])
def test_a_seal_without_facts_is_refused(node, key, line):
    assert put(node, key, KEY.seal(to_node(FILE, "new"), line))["code"] == "usage"
