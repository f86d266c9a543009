"""The choices of a person for where the credentials are."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.plans.credentials.options import RenewalOptions


@dataclass(frozen=True)
class SecretsOptions(RenewalOptions):
    """The choices of a person. ``to_host``: from Secrets back to the files on the nodes. Unless it
    only ``looks``, the files are renewed before they go into Secrets.
    """

    to_host: bool = False
    looks: bool = True

    @property
    def verb(self) -> str:
        if not self.looks:
            return "credentials renew"
        return "credentials to-host" if self.to_host else "credentials to-secrets"
