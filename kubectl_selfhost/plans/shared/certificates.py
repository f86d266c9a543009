"""The certificates that the agent finds on a node, and what the journal keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, Credential
from kubectl_selfhost.controlplane.values.x509 import Certificate
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.node.agent import AgentError, NodeAgent
from kubectl_selfhost.node.credentials import CredentialFile, CredentialFiles

#: The files of every certificate.
PATHS = [path for one in CREDENTIALS for path in one.files]


@dataclass
class Seen:
    """The certificates on a node: ``files`` by path, and what servers show by a certificate's name.

    ``since`` is the start of each component that reads its certificate only when it starts.
    ``stored`` are the digests of files that pods read from Secrets instead, by path.
    """

    files: Mapping[str, CredentialFile] = field(default_factory=dict)
    shown: Mapping[str, Certificate] = field(default_factory=dict)
    since: Mapping[Component, datetime | None] = field(default_factory=dict)
    stored: Mapping[str, str] = field(default_factory=dict)

    def certificate(self, credential: Credential) -> Certificate | None:
        """Return the certificate on the node's disk; None without it, or without its key."""
        files = [self.files.get(path) for path in credential.files]
        return files[0].certificate if files[0] and all(files) else None

    def there(self) -> list[Credential]:
        """Return the certificates that are on the node."""
        return [one for one in CREDENTIALS if self.certificate(one) is not None]

    def in_use(self, credential: Credential) -> bool | None:
        """Return whether the certificate on the disk is the one in use; None if nobody can tell."""
        on_disk = self.certificate(credential)
        if on_disk is not None and credential.certificate in self.stored:
            return all(self.stored.get(p) == self.files[p].sha256 for p in credential.files)
        shown = self.shown.get(credential.name)
        if on_disk is not None and shown is not None:
            return shown.fingerprint == on_disk.fingerprint
        since = self.since.get(credential.restarts) if credential.restarts else None
        file = self.files.get(credential.certificate)
        return None if since is None or file is None else since.timestamp() > file.changed

    def facts(self) -> dict[str, dict[str, object]]:
        """Return what the journal keeps: public facts."""
        found = {one.name: (self.certificate(one), self.in_use(one)) for one in CREDENTIALS}
        return {
            name: {
                "notAfter": one.not_after.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "serial": f"{one.serial:x}",
                "sha256": one.fingerprint,
                "inUse": in_use,
            }
            for name, (one, in_use) in found.items()
            if one is not None
        }


def note(agent: NodeAgent, journal: Journal) -> None:
    """Write the end of each certificate on the agent's node into ``journal``, so that ``status`` warns
    in time. An agent that can't read the files does not fail the run: nothing depends on them.
    """
    with suppress(AgentError):
        found = Seen(files=CredentialFiles(agent).look(PATHS))
        if found.there():
            journal.credentials(agent.target.node, found.facts())
