"""What is known of a certificate's end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: The name that the certificate of this machine's user has on the status page.
YOUR_CLIENT = "your client"


@dataclass(frozen=True)
class Expiry:
    """A certificate: the owner's name in words, and the end of its validity.

    ``renew`` is the certificate's name for ``kubeadm certs renew``; it is empty if this command does
    not renew the certificate. ``node`` is the node whose file holds the certificate, as a run has
    read that file; it is empty for a certificate that this machine sees itself.
    """

    what: str
    not_after: datetime
    renew: str = ""
    node: str = ""
