"""The page of certificates, and the same facts as a document for programs.

The document's schema is kubectl-selfhost/v1alpha1, kind Credentials. New versions only add fields.

- ``observedAt``; ``healthy`` (exit status 0); ``next`` (a command, or null)
- ``certificates[]``, those that can be seen from here: of, notAfter, secondsLeft
- ``onNodes[]``, as the last run has seen them: node, name (kubeadm's), usedBy, notAfter,
  secondsLeft, serial, sha256 (of the certificate), inUse (true; false: a former certificate is in
  use; null: unknown), readFrom (host or Secret: where its user reads it), seenAt
- ``unseen[]``: nodes of which nothing is known
"""

from __future__ import annotations

from typing import Any

from kubectl_selfhost.health.credentials import LOOK, Credentials, Known
from kubectl_selfhost.health.notices import EXPIRY_FAILURE, EXPIRY_WARNING
from kubectl_selfhost.output.document import API_VERSION, timestamp
from kubectl_selfhost.output.table import table
from kubectl_selfhost.output.text import PLAIN, Style, age, clean, left, utc, wrap

_IN_USE = {True: "yes", False: "no", None: "unknown"}


def page(found: Credentials, *, style: Style = PLAIN) -> list[str]:
    """Return the lines of the page."""
    blocks = [_from_here(found, style)]
    for node in dict.fromkeys(one.node for one in found.known):
        blocks.append(_of_node([one for one in found.known if one.node == node], found, style))
    if found.unseen:
        blocks.append(wrap(clean(_unseen(found))))
    blocks.append(_end(found, style))
    return [line for number, block in enumerate(blocks) for line in [*[""] * bool(number), *block]]


def _unseen(found: Credentials) -> str:
    text = f"The certificates in the files on {', '.join(found.unseen)} are not known"
    if found.hosted:
        return f"{text} yet: run `{LOOK}`."
    return f"{text}: run `kubeadm certs check-expiration` on the node."


def _from_here(found: Credentials, style: Style) -> list[str]:
    rows = [
        [one.what, utc(one.not_after), left(one.not_after, found.taken)]
        for one in found.certificates
    ]
    return table(("CERTIFICATE", "VALID UNTIL", "LEFT"), rows, paint=_painter(found, style))


def _of_node(known: list[Known], found: Credentials, style: Style) -> list[str]:
    seen = age(known[0].seen, found.taken)
    rows = [
        [
            *(one.name, one.used_by, utc(one.not_after)[: len("2027-11-26")]),
            *(left(one.not_after, found.taken), _IN_USE[one.in_use], _read_from(one)),
        ]
        for one in known
    ]
    headers = ("CERTIFICATE", "USED BY", "UNTIL", "LEFT", "IN USE", "FROM")
    title = clean(f"Node {known[0].node}, as of {seen} ago")
    return [title, *table(headers, rows, paint=_painter(found, style))]


def _read_from(one: Known) -> str:
    return "Secret" if one.in_secret else "host"


def _painter(found: Credentials, style: Style) -> Any:
    late = {left(one.not_after, found.taken) for one in found.ending(EXPIRY_FAILURE)}
    soon = {left(one.not_after, found.taken) for one in found.ending(EXPIRY_WARNING)}

    def paint(header: str, cell: str) -> str:
        if header == "LEFT" and cell in soon:
            return style.paint(cell, "red" if cell in late else "yellow")
        return style.paint(cell, "red") if (header, cell) == ("IN USE", "no") else cell

    return paint


def _end(found: Credentials, style: Style) -> list[str]:
    colour = "green" if found.healthy else "red"
    lines = [style.paint(_sentence(found), colour)]
    return [*lines, f"Next: {found.next}"] if found.next else lines


def _sentence(found: Credentials) -> str:
    late, soon = found.ending(EXPIRY_FAILURE), found.ending(EXPIRY_WARNING)
    if late:
        return (
            f"Certificates that end within {EXPIRY_FAILURE.days} days, or have ended: {len(late)}."
        )
    if found.unused:
        return f"Certificates that are not in use yet: {len(found.unused)}."
    if found.unseen:
        return (
            "The certificates of some nodes are not known."
            if found.hosted
            else "The control plane is not self-hosted: kubeadm renews its certificates."
        )
    if soon:
        return f"Certificates that end within {EXPIRY_WARNING.days} days: {len(soon)}."
    return f"Each certificate is valid for {EXPIRY_WARNING.days} days at least."


def document(found: Credentials) -> dict[str, Any]:
    """Return the document as plain data."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Credentials",
        "observedAt": timestamp(found.taken),
        "healthy": found.healthy,
        "next": found.next or None,
        "certificates": [
            {
                "of": one.what,
                "notAfter": timestamp(one.not_after),
                "secondsLeft": int((one.not_after - found.taken).total_seconds()),
            }
            for one in found.certificates
        ],
        "onNodes": [
            {
                "node": one.node,
                "name": one.name,
                "usedBy": one.used_by,
                "notAfter": timestamp(one.not_after),
                "secondsLeft": int((one.not_after - found.taken).total_seconds()),
                "serial": one.serial,
                "sha256": one.sha256,
                "inUse": one.in_use,
                "readFrom": _read_from(one),
                "seenAt": timestamp(one.seen),
            }
            for one in found.known
        ],
        "unseen": list(found.unseen),
    }
