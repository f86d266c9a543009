"""Certificates and keys are judged by a real handshake, and keys are on no disk meanwhile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kubectl_selfhost.cluster import pairs

ADDRESS, NAME = "192.0.2.1", "kubernetes.default.svc"


class Authority:
    """An authority, made by openssl; it signs with ``sign``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
        )

    @property
    def certificate(self) -> bytes:
        return (self.folder / f"{self.name}.crt").read_bytes()

    def sign(self, name: str, purpose: str, *, ended: bool = False) -> tuple[bytes, bytes]:
        at = self.folder / f"{self.name}-{name}"
        extensions = at.with_suffix(".ext")
        extensions.write_text(
            f"extendedKeyUsage={purpose}\nsubjectAltName=DNS:{NAME},IP:{ADDRESS}\n"
        )
        key, request = at.with_suffix(".key"), at.with_suffix(".csr")
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", key, "-out", request),
        )
        openssl(
            *("x509", "-req", "-in", request, "-out", at.with_suffix(".crt")),
            *("-CA", self.folder / f"{self.name}.crt", "-CAkey", self.folder / f"{self.name}.key"),
            *("-CAcreateserial", "-extfile", extensions, "-days", "-1" if ended else "1"),
        )
        return at.with_suffix(".crt").read_bytes(), key.read_bytes()


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, bytes]]:
    folder = tmp_path_factory.mktemp("authorities")
    ours, other = Authority(folder, "ours"), Authority(folder, "other")
    return {
        "authority": (ours.certificate, b""),
        "server": ours.sign("server", "serverAuth"),
        "client": ours.sign("client", "clientAuth"),
        "ended": ours.sign("ended", "serverAuth,clientAuth", ended=True),
        "stranger": other.sign("stranger", "serverAuth,clientAuth"),
    }


def server(made: dict, name: str, names: tuple[str, ...] = (ADDRESS, NAME)) -> str:
    return pairs.wrong_with_server(*made[name], authority=made["authority"][0], names=names)


def client(made: dict, name: str) -> str:
    return pairs.wrong_with_client(*made[name], authority=made["authority"][0])


def test_what_is_good_is_good(made):
    assert server(made, "server") == ""
    assert client(made, "client") == ""
    assert pairs.wrong_with_pair(*made["server"]) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("client", "purpose"),
        ("ended", "expired"),
        ("stranger", "issuer"),
    ],
)
def test_a_server_s_certificate_that_is_not_good(made, name, why):
    assert why in server(made, name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("server", "purpose"),
        ("ended", "expired"),
        ("stranger", "issuer"),
    ],
)
def test_a_client_s_certificate_that_is_not_good(made, name, why):
    found = client(made, name)
    assert found
    assert why in found or "verify" in found


def test_a_name_that_the_certificate_has_not(made):
    assert "192.0.2.9" in server(made, "server", (NAME, "192.0.2.9"))


def test_a_key_of_another_certificate(made):
    mixed = made["server"][0], made["client"][1]
    assert "mismatch" in pairs.wrong_with_pair(*mixed)
    assert "mismatch" in pairs.wrong_with_client(*mixed, authority=made["authority"][0])


@pytest.mark.parametrize("what", [b"", b"no PEM", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key(made, what):
    assert pairs.wrong_with_pair(made["server"][0], what)


def test_an_authority_that_is_none(made):
    assert pairs.wrong_with_client(*made["client"], authority=b"nothing")


def test_without_memfd_a_pipe_does(made, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert server(made, "server") == ""
    assert "mismatch" in pairs.wrong_with_pair(made["server"][0], made["client"][1])


def test_no_descriptor_stays_open(made):
    before = set(os.listdir("/dev/fd"))
    server(made, "server")
    client(made, "stranger")
    assert len(os.listdir("/dev/fd")) == len(before)
