"""The end of an X.509 certificate's validity.

Python's ssl module shows this date only for certificates that it has verified, and packages that
read certificates are compiled code. So this module reads the few DER fields up to the date (RFC
5280, section 4.1). The module verifies no signature.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timezone

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


@dataclass(frozen=True)
class Expiry:
    """A certificate: the owner's name in words, and the end of its validity.

    ``renew`` is the certificate's name for ``kubeadm certs renew``; it is empty if this command does
    not renew the certificate.
    """

    what: str
    not_after: datetime
    renew: str = ""


def first_in_pem(pem: bytes) -> bytes | None:
    """Return the DER of the first certificate in ``pem``, or None."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return base64.b64decode(b"".join(found.group(1).split()))
    except binascii.Error:
        return None


def not_after(der: bytes) -> datetime | None:
    """Return the end of the certificate's validity, None if ``der`` is no certificate."""
    try:
        return _not_after(der)
    except (IndexError, ValueError):
        return None


def _not_after(der: bytes) -> datetime:
    certificate, _ = _take(der, _SEQUENCE)
    rest, _ = _take(certificate, _SEQUENCE)  # TBSCertificate
    if rest[0] == _VERSION:
        _, rest = _take(rest)
    for _ in range(3):  # serialNumber, signature, issuer
        _, rest = _take(rest)
    validity, _ = _take(rest, _SEQUENCE)
    _, rest = _take(validity)  # notBefore
    text, _ = _take(rest)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(rest[0])
    if form is None:
        raise ValueError("no time")
    moment = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=timezone.utc)
    # Years of two digits are 1950 to 2049 here; strptime reads them as 1969 to 2068.
    return moment.replace(year=moment.year - 100) if _is_old(moment, rest[0]) else moment


def _is_old(moment: datetime, tag: int) -> bool:
    return tag == _UTC_TIME and moment.year >= 2050


def _take(data: bytes, tag: int | None = None) -> tuple[bytes, bytes]:
    """Return the content of the first element of ``data``, which must have ``tag``, and the rest."""
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
