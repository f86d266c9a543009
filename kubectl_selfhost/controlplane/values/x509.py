"""The parts of an X.509 certificate that tell what it is good for.

Python's ssl module shows these only of certificates that it has verified, and a package for them
would be compiled code, so this module reads DER itself (RFC 5280, section 4.1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_PUBLIC_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----(.+?)-----END PUBLIC KEY-----", re.DOTALL)
_PRIVATE_KEY = re.compile(rb"PRIVATE KEY-----(.+?)-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_INTEGER, _SEQUENCE, _VERSION, _EXTENSIONS = 0x02, 0x30, 0xA0, 0xA3
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_RSA_KEY = bytes.fromhex("2a864886f70d010101")
#: sha256WithRSAEncryption and its sisters, each with the beginning of what is signed (RFC 8017).
_RSA_SIGNATURES = {
    bytes.fromhex("2a864886f70d01010b"): ("sha256", "3031300d060960864801650304020105000420"),
    bytes.fromhex("2a864886f70d01010c"): ("sha384", "3041300d060960864801650304020205000430"),
    bytes.fromhex("2a864886f70d01010d"): ("sha512", "3051300d060960864801650304020305000440"),
}


@dataclass(frozen=True)
class Certificate:
    """A certificate. Names, the key and the extensions (by the DER of their OID) are DER.

    ``key`` is what the private key's file must hold too: an RSA key's modulus, another key's bytes.
    """

    der: bytes
    serial: int
    issuer: bytes
    not_before: datetime
    not_after: datetime
    subject: bytes
    key: bytes
    extensions: Mapping[bytes, bytes]
    _signed: bytes
    _algorithm: bytes
    _signature: bytes
    _exponent: int

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate."""
        return hashlib.sha256(self.der).hexdigest()

    def is_signed_by(self, authority: Certificate) -> bool | None:
        """Return whether the authority's key made the signature; None for a signature that is not
        RSA's.
        """
        known = _RSA_SIGNATURES.get(self._algorithm)
        if known is None or not authority._exponent:
            return None
        digest, prefix = known
        length = len(authority.key)
        modulus = int.from_bytes(authority.key, "big")
        signature = int.from_bytes(self._signature, "big")
        wanted = bytes.fromhex(prefix) + hashlib.new(digest, self._signed).digest()
        padded = b"\x00\x01" + b"\xff" * (length - len(wanted) - 3) + b"\x00" + wanted
        return pow(signature, authority._exponent, modulus) == int.from_bytes(padded, "big")


def first_in_pem(pem: bytes) -> bytes | None:
    """Return the DER of the first certificate in ``pem``, or None."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return base64.b64decode(b"".join(found.group(1).split()))
    except binascii.Error:
        return None


def public_key(pem: bytes) -> bytes:
    """Return the key in a PEM file with a public key, as ``Certificate.key``; empty for none."""
    found = _PUBLIC_KEY.search(pem)
    try:
        return _key(_take(_decoded(found.group(1)), _SEQUENCE)[0])[0] if found else b""
    except (IndexError, ValueError):
        return b""


def is_private_key_of(pem: bytes, key: bytes) -> bool:
    """Return whether a PEM file has the private key of the public ``key``."""
    found = _PRIVATE_KEY.search(pem)
    try:
        return found is not None and bool(key) and key in _decoded(found.group(1))
    except ValueError:
        return False


def _decoded(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()))


def parse(der: bytes) -> Certificate | None:
    """Return the certificate, None if ``der`` is none."""
    try:
        return _parse(der)
    except (IndexError, ValueError):
        return None


def not_after(der: bytes) -> datetime | None:
    """Return the end of the certificate's validity, None if ``der`` is no certificate."""
    found = parse(der)
    return found.not_after if found else None


def _parse(der: bytes) -> Certificate:
    certificate, _ = _take(der, _SEQUENCE)
    rest, after = _take(certificate, _SEQUENCE)  # TBSCertificate
    signed = certificate[: len(certificate) - len(after)]
    if rest[0] == _VERSION:
        _, rest = _take(rest)
    serial, rest = _take(rest, _INTEGER)
    _, rest = _take(rest)  # signature
    issuer, rest = _take(rest, _SEQUENCE)
    validity, rest = _take(rest, _SEQUENCE)
    subject, rest = _take(rest, _SEQUENCE)
    info, rest = _take(rest, _SEQUENCE)
    algorithm, after = _take(after, _SEQUENCE)
    signature, _ = _take(after)
    key, exponent = _key(info)
    begin, end = _time(validity)
    return Certificate(
        der=der,
        serial=int.from_bytes(serial, "big"),
        issuer=issuer,
        not_before=begin,
        not_after=_time(end)[0],
        subject=subject,
        key=key,
        extensions=_extensions(rest),
        _signed=signed,
        _algorithm=_take(algorithm)[0],
        _signature=signature[1:],
        _exponent=exponent,
    )


def _key(info: bytes) -> tuple[bytes, int]:
    """Return the key and, of an RSA key, its exponent."""
    algorithm, rest = _take(info, _SEQUENCE)
    bits, _ = _take(rest)
    if _take(algorithm)[0] != _RSA_KEY:
        return bits[1:], 0
    numbers, _ = _take(bits[1:], _SEQUENCE)
    modulus, rest = _take(numbers, _INTEGER)
    exponent, _ = _take(rest, _INTEGER)
    return modulus.lstrip(b"\x00"), int.from_bytes(exponent, "big")


def _extensions(rest: bytes) -> dict[bytes, bytes]:
    """Return the extensions that follow the key, each with its mark of being critical."""
    while rest and rest[0] != _EXTENSIONS:
        _, rest = _take(rest)
    found: dict[bytes, bytes] = {}
    left = _take(_take(rest)[0], _SEQUENCE)[0] if rest else b""
    while left:
        one, left = _take(left, _SEQUENCE)
        name, value = _take(one)
        found[name] = value
    return found


def _time(data: bytes) -> tuple[datetime, bytes]:
    """Return the time that ``data`` begins with, and what follows."""
    text, rest = _take(data)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(data[0])
    if form is None:
        raise ValueError("no time")
    moment = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=timezone.utc)
    # Years of two digits are 1950 to 2049 here; strptime reads them as 1969 to 2068.
    is_old = data[0] == _UTC_TIME and moment.year >= 2050
    return (moment.replace(year=moment.year - 100) if is_old else moment), rest


def _take(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Return the content of the first element of ``data`` (which must have ``tag``), and what
    follows.
    """
    if tag is not None and data[0] != tag:
        raise ValueError("another element than expected")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    end = start + length
    if end > len(data):
        raise ValueError("cut off")
    return data[start:end], data[end:]
