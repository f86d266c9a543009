"""Certificates that nobody signed, and keys that belong to them: as DER has them, and no more."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta

_SEQUENCE, _INTEGER, _BITS, _BYTES, _UTC_TIME, _TEXT = 0x30, 0x02, 0x03, 0x04, 0x17, 0x0C
#: Ed25519, of which the reader verifies no signature; the name of a subject's other names.
_ALGORITHM = bytes.fromhex("06032b6570")
_OTHER_NAMES = bytes.fromhex("0603551d11")


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = len(body)
    head = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + head + body


def _name(text: str) -> bytes:
    return _der(_SEQUENCE, _der(_TEXT, text.encode()))


def _time(moment: datetime) -> bytes:
    return _der(_UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())


def key_of(serial: int) -> bytes:
    """Return the public key of the certificate with this number."""
    return hashlib.sha256(str(serial).encode()).digest()


def certificate(
    subject: str,
    *,
    issuer: str,
    serial: int,
    end: datetime,
    names: str = "",
) -> bytes:
    """Return a certificate (PEM) that is valid for a year until ``end``."""
    algorithm = _der(_SEQUENCE, _ALGORITHM)
    extension = _der(_SEQUENCE, _OTHER_NAMES, _der(_BYTES, names.encode()))
    to_be_signed = _der(
        _SEQUENCE,
        _der(0xA0, _der(_INTEGER, b"\x02")),
        _der(_INTEGER, serial.to_bytes(8, "big")),
        algorithm,
        _name(issuer),
        _der(_SEQUENCE, _time(end - timedelta(days=366)), _time(end)),
        _name(subject),
        _der(_SEQUENCE, algorithm, _der(_BITS, b"\x00", key_of(serial))),
        _der(0xA3, _der(_SEQUENCE, extension)),
    )
    der = _der(_SEQUENCE, to_be_signed, algorithm, _der(_BITS, b"\x00", b"signature"))
    return _pem("CERTIFICATE", der)


def private_key(serial: int) -> bytes:
    """Return the key (PEM) of the certificate with this number."""
    return _pem("PRIVATE KEY", b"secret" + key_of(serial))


def _pem(what: str, der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return f"-----BEGIN {what}-----\n".encode() + text + f"-----END {what}-----\n".encode()


def kubeconfig(pem: bytes, key: bytes) -> bytes:
    """Return a kubeconfig with a certificate and its key, as kubeadm writes it."""
    data, secret = base64.b64encode(pem), base64.b64encode(key)
    user = b"    client-certificate-data: %b\n    client-key-data: %b\n" % (data, secret)
    return b"clusters: []\nusers:\n- user:\n" + user


def shown(der: bytes) -> bytes:
    """Return what a server answers to the first message of TLS 1.2: ServerHello, Certificate."""
    listed = len(der).to_bytes(3, "big") + der
    body = len(listed).to_bytes(3, "big") + listed
    messages = b"\x02\x00\x00\x04rest" + b"\x0b" + len(body).to_bytes(3, "big") + body
    half = len(messages) // 2
    return b"".join(
        b"\x16\x03\x03" + len(part).to_bytes(2, "big") + part
        for part in (messages[:half], messages[half:])
    )
