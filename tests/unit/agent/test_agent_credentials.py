"""Certificates and keys on a node: copied as they are, told in their public parts only."""

from __future__ import annotations

import base64
import os
import socket
import stat
import threading
from pathlib import Path

import pytest
from agent_node import Node

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n"
AUTHORITY = "-----BEGIN CERTIFICATE-----\nBAUG\n-----END CERTIFICATE-----\n"
#: The key's bytes are "secret-modulus-more".
KEY = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0LW1v\nZHVsdXMtbW9yZQ==\n-----END RSA PRIVATE KEY-----\n"
KUBECONFIG = (
    "users:\n- name: x\n  user:\n"
    f"    client-certificate-data: {base64.b64encode(CERTIFICATE.encode()).decode()}\n"
    f"    client-key-data: {base64.b64encode(KEY.encode()).decode()}\n"
)
PAIR = ["/pki/apiserver.crt", "/pki/apiserver.key"]


@pytest.fixture
def host(node: Node) -> Path:
    """Return the folder with the node's own files."""
    root = node.dir.parent
    (root / "pki/etcd").mkdir(parents=True)
    for name, content in [
        ("pki/apiserver.crt", CERTIFICATE + AUTHORITY),
        ("pki/apiserver.key", KEY),
        ("pki/etcd/ca.key", KEY),
        ("scheduler.conf", KUBECONFIG),
    ]:
        (root / name).write_text(content)
        (root / name).chmod(0o600)
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    (root / "pki/apiserver.crt").chmod(0o644)
    return root


def told(node: Node, *files: str, **more: str) -> dict[str, dict]:
    answer = node.order("certificates", files=list(files), **more)
    return {
        one["file"]: {**one, "public": bytes.fromhex(one["public"]).decode()}
        for one in answer["files"]
    }


def of(node: Node, name: str) -> Path:
    return node.dir / "credentials" / name


def facts(path: Path) -> tuple[bytes, int, float]:
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime


def test_only_certificates_are_told(node, host):
    found = told(node, *PAIR, "/scheduler.conf", "/pki/etcd/ca.key", "/admin.conf")
    assert {file: one["public"] for file, one in found.items()} == {
        "/pki/apiserver.crt": CERTIFICATE + AUTHORITY,
        "/pki/apiserver.key": "",
        "/scheduler.conf": base64.b64encode(CERTIFICATE.encode()).decode(),
        "/pki/etcd/ca.key": "",
    }
    assert found["/pki/apiserver.crt"]["mode"] == "0644"
    assert found["/pki/apiserver.key"]["mode"] == "0600"
    assert found["/scheduler.conf"]["changed"] == int((host / "scheduler.conf").stat().st_ctime)


def test_certificates_without_a_line_between_them_are_told(node, host):
    (host / "pki/apiserver.crt").write_text((CERTIFICATE.rstrip() + AUTHORITY).rstrip() + KEY)
    told_of = told(node, "/pki/apiserver.crt")["/pki/apiserver.crt"]["public"]
    assert told_of == CERTIFICATE.rstrip() + AUTHORITY.rstrip()


def test_a_certificate_that_is_cut_off_is_not_told(node, host):
    (host / "pki/apiserver.crt").write_text(KEY + CERTIFICATE[:-5])
    assert told(node, "/pki/apiserver.crt")["/pki/apiserver.crt"]["public"] == ""


@pytest.mark.parametrize("file", ["/../x", "/pki/../../x", "/.x", "/pki/.x", "/./x"])
def test_no_way_leads_out_of_a_set(node, host, file):
    assert node.order("certificates", files=[file])["code"] == "usage"
    assert node.order("copy", files=[file], to="new")["code"] == "usage"


def test_a_link_is_not_followed(node, host):
    (host / "admin.conf").symlink_to(host / "scheduler.conf")
    assert "error" in node.order("certificates", files=["/admin.conf"])
    assert "error" in node.order("copy", files=["/admin.conf"], to="new")


def test_a_set_has_the_files_as_they_are_for_root_alone(node, host):
    assert node.order("copy", files=[*PAIR, "/scheduler.conf"], to="kept-1") == {"copied": 3}
    for file in ("pki/apiserver.crt", "pki/apiserver.key", "scheduler.conf"):
        assert facts(of(node, "kept-1") / file) == facts(host / file)
    for folder in ("", "kept-1", "kept-1/pki", "kept-1/pki/etcd"):
        assert stat.S_IMODE(of(node, folder).stat().st_mode) == 0o700
    assert node.order("sets") == {"sets": ["kept-1"]}


def test_files_come_back_as_they_were(node, host):
    before = [facts(host / file.lstrip("/")) for file in PAIR]
    node.order("copy", files=PAIR, to="kept-1")
    for file in PAIR:
        (host / file.lstrip("/")).write_text("other")
        (host / file.lstrip("/")).chmod(0o666)
    node.order("copy", files=PAIR, **{"from": "kept-1"})
    assert [facts(host / file.lstrip("/")) for file in PAIR] == before


def test_all_are_copied_before_the_first_is_replaced(node, host):
    node.order("copy", files=PAIR, to="new")
    (of(node, "new") / "pki/apiserver.crt").write_text("other")
    (of(node, "new") / "pki/apiserver.key").unlink()
    assert node.order("copy", files=PAIR, **{"from": "new"})["code"] == "not-found"
    assert (host / "pki/apiserver.crt").read_text() == CERTIFICATE + AUTHORITY
    assert sorted(path.name for path in (host / "pki").iterdir()) == [
        *("apiserver.crt", "apiserver.key", "etcd")
    ]


def test_an_authority_gets_a_second_name_and_loses_it(node, host):
    key = host / "pki/etcd/ca.key"
    for _ in range(2):
        node.order("copy", files=["/pki/etcd/ca.key"], to="new", link=True)
        assert (of(node, "new") / "pki/etcd/ca.key").samefile(key)
        assert len(list((of(node, "new") / "pki/etcd").iterdir())) == 1
    assert node.order("drop", **{"from": "new"}) == {"dropped": "new"}
    assert not of(node, "new").exists()
    assert (key.read_text(), key.stat().st_nlink) == (KEY, 1)


def test_a_set_that_there_is_not_is_dropped_already(node, host):
    assert node.order("drop", **{"from": "new"}) == {"dropped": "new"}
    assert node.order("sets") == {"sets": []}


@pytest.mark.parametrize(
    ("file", "part", "holds"),
    [
        ("/pki/apiserver.key", "modulus", True),
        ("/scheduler.conf", "modulus", True),
        ("/pki/apiserver.key", "another", False),
        ("/pki/apiserver.key", "", False),
        ("/pki/apiserver.crt", "modulus", False),
        ("/admin.conf", "modulus", False),
    ],
)
def test_a_key_is_compared_where_it_is(node, host, file, part, holds):
    assert node.order("holds", files=[file], content=part.encode()) == {"holds": holds}


def test_a_revert_takes_the_sets_along(node, host):
    node.order("copy", files=PAIR, to="kept-1")
    node.order("copy", files=["/scheduler.conf"], to="new")
    assert node.order("tidy", keep_backups=True) == {"left": True}
    assert of(node, "kept-1").exists()
    assert node.order("tidy") == {"left": False}


def test_a_server_on_the_node_is_heard(node):
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[bytes] = []

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                heard.append(peer.recv(100))
                peer.sendall(b"first \xff\0")
                peer.sendall(b"second")
                peer.recv(1)  # the agent hangs up

        thread = threading.Thread(target=answer)
        thread.start()
        said = node.order(
            "hello", address=["127.0.0.1"], port=server.getsockname()[1], content=b"hi \xfe"
        )
        thread.join()
    assert heard == [b"hi \xfe"]
    assert bytes.fromhex(said["answer"]) == b"first \xff\0second"


def test_where_nobody_listens_nobody_is_heard(node):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert (
        "connect to"
        in node.order("hello", address=["127.0.0.1"], port=port, content=b"hi")["error"]
    )
    assert node.order("hello", address=["here"], port=port, content=b"hi")["code"] == "usage"
    assert node.order("hello", address=[], port=port, content=b"hi")["code"] == "usage"
