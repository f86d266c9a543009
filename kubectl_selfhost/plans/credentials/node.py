"""What a renewal needs to know of one node: which certificates are there, and which are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, Credential
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.credentials import CredentialFiles
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.shared.certificates import Seen
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


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
