"""What travels between a node and a run is whole and secret, or it is refused."""

from __future__ import annotations

import base64
import hmac

import pytest

from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node.pod import NodeTarget
from kubectl_selfhost.node.sealed import BrokenSeal, SealKey, from_node, to_node

KEY = SealKey("a-name", bytes(range(64)))
LABEL = from_node("/pki/ca.key", "0" * 32)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 5000])
def test_what_is_sealed_comes_out(length: int):
    plain = bytes(n % 251 for n in range(length))
    assert KEY.unseal(LABEL, KEY.seal(LABEL, plain)) == plain


def test_it_is_made_as_described():
    """Computed here anew: nonce, tag over label, nonce and ciphertext, stream from a counter."""
    raw = KEY.seal(LABEL, b"a" * 40)
    nonce, tag, hidden = raw[:16], raw[16:48], raw[48:]
    assert tag == hmac.digest(bytes(range(32, 64)), LABEL.encode() + nonce + hidden, "sha256")
    first = hmac.digest(bytes(range(32)), nonce + b"\0\0\0\0", "sha256")
    second = hmac.digest(bytes(range(32)), nonce + b"\0\0\0\1", "sha256")
    assert bytes(a ^ b for a, b in zip(hidden, first + second, strict=False)) == b"a" * 40


def test_the_same_bytes_are_never_sealed_alike():
    assert KEY.seal(LABEL, b"secret") != KEY.seal(LABEL, b"secret")


def test_nothing_of_the_content_is_seen():
    assert b"secret" not in KEY.seal(LABEL, b"secret")


@pytest.mark.parametrize("at", [0, 16, 48, -1])
def test_a_changed_byte_is_noticed(at: int):
    raw = bytearray(KEY.seal(LABEL, b"a file's bytes"))
    raw[at] ^= 1
    with pytest.raises(BrokenSeal):
        KEY.unseal(LABEL, bytes(raw))


@pytest.mark.parametrize("cut", [0, 1, 16, 48, 49])
def test_what_is_cut_off_is_noticed(cut: int):
    with pytest.raises(BrokenSeal):
        KEY.unseal(LABEL, KEY.seal(LABEL, b"a file's bytes")[:cut])


@pytest.mark.parametrize(
    "other",
    [
        from_node("/pki/ca.key", "1" * 32),  # the answer to an earlier question
        from_node("/pki/sa.key", "0" * 32),
        to_node("/pki/ca.key", "0" * 32),
    ],
)
def test_a_seal_fits_nowhere_else(other: str):
    with pytest.raises(BrokenSeal):
        KEY.unseal(other, KEY.seal(LABEL, b"a file's bytes"))


def test_another_key_opens_nothing():
    with pytest.raises(BrokenSeal):
        SealKey.new("cp-1").unseal(LABEL, KEY.seal(LABEL, b"a file's bytes"))


def test_the_key_is_in_the_secret_alone():
    made = KEY.manifest({"metadata": {"name": "an-agent", "uid": "uid-1"}})
    assert base64.b64decode(made["data"]["key"]) == KEY.secret
    assert made["immutable"] is True
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert "secret" not in repr(KEY)


def test_each_start_has_a_key_and_a_name_of_its_own():
    one, other = SealKey.new("cp-1"), SealKey.new("cp-1")
    assert one.name != other.name
    assert one.secret != other.secret
    assert len(SealKey.new("a-node-with-a-name." * 6).name) <= 80


def test_only_an_agent_that_seals_has_the_key_as_a_file_of_its_own():
    target = NodeTarget("cp-1", "amd64", "an-image", "/etc/kubernetes/manifests", seals=True)
    spec = agent_pod.manifest(target, key="a-secret")["spec"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == "key"]
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "key"]
    assert volume["secret"] == {"secretName": "a-secret", "defaultMode": 0o400}
    # In the folder of a Secret's volume it would be a symbolic link.
    assert (mount["mountPath"], mount["subPath"]) == (agent_pod.KEY_FILE, "key")
    plain = agent_pod.manifest(target)["spec"]
    assert "key" not in [one["name"] for one in plain["volumes"]]
