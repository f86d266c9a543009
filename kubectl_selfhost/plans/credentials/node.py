"""What a renewal needs to know of one node: which certificates are there, and which are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, Component
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, Credential
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.values.x509 import Certificate
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.credentials import CredentialFile, CredentialFiles
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


@dataclass
class Seen:
    """What the agent has seen on the node: files by path, and what servers show by a certificate's
    name. ``since`` is when each component was started that reads its certificate only then.
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


class NodeCredentials(NodeRollout):
    """The part of a renewal that is on ``node``."""

    options: RenewalOptions

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        node: str,
        kubelet: Kubelet,
        *,
        options: RenewalOptions,
    ) -> None:
        super().__init__(cluster, situation, node, kubelet, options=options)
        self.target = replace(self.target, renews=not options.looks)
        self.agent = NodeAgent(cluster, self.target)
        self.files = CredentialFiles(self.agent)

    def mounted(self) -> list[dict]:
        """Return the volumes of the node's DaemonSets' pods, as they are now."""
        names = {self.own(component).daemonset for component in COMPONENTS}
        found = [self.cluster.find(DAEMONSETS, name, NAMESPACE) for name in sorted(names)]
        templates = [one["spec"]["template"]["spec"] for one in found if one]
        return [volume for one in templates for volume in one.get("volumes") or []]

    def wanted(self) -> list[Credential]:
        """Return the certificates that a person has asked for on this node."""
        meant = not self.options.nodes or self.node in self.options.nodes
        return [one for one in CREDENTIALS if meant and one.name in self.options.only]

    def due(self, seen: Seen, now: datetime) -> list[Credential]:
        """Return those of them that are on the node and end soon enough."""
        limit = self.options.less_than
        found = [(one, seen.certificate(one)) for one in self.wanted()]
        return [
            one
            for one, there in found
            if there and (limit is None or (there.not_after - now).total_seconds() < limit)
        ]

    def port(self, credential: Credential) -> int:
        """Return the port at which a server shows the certificate, 0 if none does."""
        if not (credential.used_by == APISERVER.name and credential.port):
            return credential.port
        (pod, *_) = self.situation.pods_of(APISERVER, self.node)
        file = staticpod.flags(pod).get("tls-cert-file", "")
        return staticpod.secure_port(pod, APISERVER) if file.endswith(credential.certificate) else 0
