"""What a move of the credentials needs to know of one node."""

from __future__ import annotations

from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.node.agent import NodeAgent
from kubectl_selfhost.node.credentials import CredentialFiles
from kubectl_selfhost.plans.credentials.node import NodeCredentials
from kubectl_selfhost.plans.secrets.options import SecretsOptions
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


class NodeSecrets(NodeCredentials):
    """The part of a move that is on ``node``. Its agent has a key, so that files travel sealed."""

    options: SecretsOptions

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        node: str,
        kubelet: Kubelet,
        *,
        options: SecretsOptions,
    ) -> None:
        super().__init__(cluster, situation, node, kubelet, options=options)
        self.target = replace(self.target, seals=True)
        self.agent = NodeAgent(cluster, self.target)
        self.files = CredentialFiles(self.agent)
