"""What a roll-out needs to know of one node: what runs there now, and how its ports change hands."""

from __future__ import annotations

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset import change as changes
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside, readiness
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.revision_to_revision import Revision
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.shared.node_part import HostedPart
from kubectl_selfhost.plans.shared.situation import Kubelet, Situation


class NodeRollout(HostedPart):
    """The part of a roll-out that is on ``node``."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        node: str,
        kubelet: Kubelet,
        *,
        options: RolloutOptions,
    ) -> None:
        super().__init__(cluster, situation, node, kubelet)
        self.options = options

    def components(self) -> list[Component]:
        """Return the components that are meant, as this node's group has them."""
        return [self.own(component) for component in self.options.components]

    def choices(self) -> dict[Component, Choice]:
        """Return the way in which each component will change hands, as far as the API tells."""
        if APISERVER in self.options.components:
            self._require_own_readiness()
        return {c: self.choose(c, self.options.handover) for c in self.options.components}

    def _require_own_readiness(self) -> None:
        """Refuse an apiserver whose new pod can count as Ready without being ready.

        The DaemonSet controller deletes the old pod for the new one. On a lone node nobody would be
        left who could bring the old pod back.
        """
        pod = self.pod(APISERVER)
        why = "; ".join(beside.conflicts(APISERVER, pod)) or readiness.doubt(pod)
        if why:
            raise SelfhostError(
                f"{APISERVER} can't be rolled out safely: {why}.",
                "Run `kubectl selfhost revert`, change the manifest on the node, then run `kubectl "
                "selfhost pivot`: if the new instance fails in a pivot, the node itself falls back.",
            )

    def subject(self, component: Component, *, before: dict, after: dict) -> Revision:
        """Return what the hand-over needs to know of the component, whose DaemonSet goes from
        ``before`` to ``after``.
        """
        pod = self.pod(component)
        return Revision(
            port=staticpod.secure_port(pod, component),
            old_uid=self.instance(component).uid,
            retry_period=staticpod.retry_period(pod, component),
            probe_address=changes.probe_address(after) or "127.0.0.1",
            before=before,
            after=after,
        )
