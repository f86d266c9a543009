from __future__ import annotations

import base64
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kubectl_selfhost.controlplane.values.x509 import (
    Certificate,
    first_in_pem,
    is_private_key_of,
    not_after,
    parse,
    public_key,
)

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")


def certificate(directory: Path, *, end: str) -> bytes:
    """Return a real certificate (PEM) that ends at ``end`` (YYYYMMDDHHMMSSZ)."""
    (directory / "index").touch()
    config = directory / "ca.cnf"
    config.write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={directory}/index\nserial={directory}/serial\n"
        f"new_certs_dir={directory}\ndefault_md=sha256\npolicy=p\nrand_serial=yes\n"
        "[p]\ncommonName=supplied\n[req]\ndistinguished_name=dn\n[dn]\n"
    )
    key, request, made = directory / "key", directory / "csr", directory / "pem"
    run = lambda *words: subprocess.run(  # noqa: E731
        ["openssl", *map(str, words)], check=True, capture_output=True
    )
    run("genpkey", "-algorithm", "ed25519", "-out", key)
    run(
        "req",
        "-new",
        "-key",
        key,
        "-subj",
        "/CN=kube-apiserver",
        "-config",
        config,
        "-out",
        request,
    )
    run(
        *(
            "ca",
            "-batch",
            "-selfsign",
            "-notext",
            "-config",
            config,
            "-keyfile",
            key,
            "-in",
            request,
        ),
        *("-md", "null", "-startdate", "20200101000000Z", "-enddate", end, "-out", made),
    )
    return made.read_bytes()


@needs_openssl
@pytest.mark.parametrize(
    ("end", "moment"),
    [
        ("20271124073458Z", datetime(2027, 11, 24, 7, 34, 58, tzinfo=timezone.utc)),
        # From 2050 on, a certificate has its time in the form with four digits for the year.
        ("20600131235959Z", datetime(2060, 1, 31, 23, 59, 59, tzinfo=timezone.utc)),
    ],
)
def test_the_end_of_a_real_certificate_is_read(tmp_path: Path, end: str, moment: datetime):
    der = first_in_pem(certificate(tmp_path, end=end))
    assert der is not None
    assert not_after(der) == moment


@needs_openssl
def test_a_certificate_that_was_cut_off_has_no_end(tmp_path: Path):
    der = first_in_pem(certificate(tmp_path, end="20271124073458Z"))
    assert der is not None
    assert [n for n in range(60) if not_after(der[:n]) is not None] == []


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x82", b"\x00" * 200, b"\x30\x03\x30\x01\x02"])
def test_what_is_no_certificate_has_no_end(der: bytes):
    assert not_after(der) is None


@pytest.mark.parametrize("pem", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAA"])
def test_what_holds_no_certificate_gives_none(pem: bytes):
    assert first_in_pem(pem) is None


def test_of_several_certificates_the_first_counts():
    one = b"-----BEGIN CERTIFICATE-----\nAQI=\n-----END CERTIFICATE-----\n"
    two = b"-----BEGIN CERTIFICATE-----\nAwQ=\n-----END CERTIFICATE-----\n"
    assert first_in_pem(one + two) == b"\x01\x02"


@needs_openssl
@pytest.mark.parametrize(
    ("algorithm", "option", "signed"),
    [("RSA", "rsa_keygen_bits:2048", True), ("EC", "ec_paramgen_curve:prime256v1", None)],
)
def test_a_real_certificate_has_its_parts(tmp_path: Path, algorithm: str, option: str, signed):
    authority = made_by_openssl(tmp_path, "ca", algorithm, option)
    another = made_by_openssl(tmp_path, "another", algorithm, option)
    (tmp_path / "names").write_text(
        "subjectAltName=DNS:one,IP:192.0.2.1\nextendedKeyUsage=serverAuth\n"
    )
    openssl(tmp_path, "req", "-new", "-key", "another.key", "-subj", "/CN=one", "-out", "csr")
    openssl(
        *(
            tmp_path,
            "x509",
            "-req",
            "-in",
            "csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "9",
        ),
        *("-set_serial", "0xabcdef", "-extfile", "names", "-out", "one.pem"),
    )
    found = parsed(tmp_path / "one.pem")
    assert found.serial == 0xABCDEF
    assert found.issuer == authority.subject != found.subject
    assert found.not_after - found.not_before == timedelta(days=9)
    assert found.key == another.key
    assert {b"\x55\x1d\x11", b"\x55\x1d\x25"} <= set(found.extensions)
    assert found.is_signed_by(authority) is signed
    assert found.is_signed_by(another) is (None if signed is None else False)
    # The private key's file has the key's public part.
    pem = (tmp_path / "another.key").read_text().splitlines()
    assert found.key in base64.b64decode("".join(pem[1:-1]))


def made_by_openssl(directory: Path, name: str, algorithm: str, option: str) -> Certificate:
    openssl(
        directory, "genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", f"{name}.key"
    )
    openssl(
        *(directory, "req", "-x509", "-key", f"{name}.key", "-subj", f"/CN={name}"),
        *("-days", "30", "-out", f"{name}.pem"),
    )
    return parsed(directory / f"{name}.pem")


def openssl(directory: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


def parsed(file: Path) -> Certificate:
    der = first_in_pem(file.read_bytes())
    assert der is not None
    found = parse(der)
    assert found is not None
    return found


@needs_openssl
@pytest.mark.parametrize("how", ["RSA", "EC"])
def test_a_private_key_belongs_to_its_public_key(tmp_path, how):
    def make(name: str) -> tuple[bytes, bytes]:
        key, public = tmp_path / name, tmp_path / f"{name}.pub"
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if how == "EC" else []
        for words in (
            ["genpkey", "-algorithm", how, *options, "-out", key],
            ["pkey", "-in", key, "-pubout", "-out", public],
        ):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
        return key.read_bytes(), public_key(public.read_bytes())

    (key, public), (other, _) = make("one"), make("other")
    assert public
    assert is_private_key_of(key, public)
    assert not is_private_key_of(other, public)


@pytest.mark.parametrize(
    "pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_public_key(pem):
    assert public_key(pem) == b""
    assert not is_private_key_of(pem, b"")
