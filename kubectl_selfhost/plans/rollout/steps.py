"""The roll-out's steps on one node: each method makes one, with its reason, its check and its undo."""

from __future__ import annotations

from collections.abc import Mapping

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.controlplane.daemonset.in_secrets import is_in_secrets
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step, needed_again, unknown
from kubectl_selfhost.handover.revision_to_revision import BetweenRevisions
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.shared import certificates
from kubectl_selfhost.plans.shared.steps import CommonSteps
from kubectl_selfhost.reboot import on_node


class RolloutSteps(CommonSteps):
    """The roll-out's steps on one node; each method makes one step."""

    def __init__(
        self, cluster: Cluster, part: NodeRollout, observer: Observer, journal: Journal
    ) -> None:
        super().__init__(cluster, part, timeout=part.options.timeout, observer=observer)
        self._part = part
        self._journal = journal

    def inspect(self) -> Step:
        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}",
            why="the agent steers connections while two instances share a port",
            done=needed_again,
            do=self._inspect,
            undo=self.stop_agent,
        )

    def _inspect(self) -> None:
        self.start_agent()
        if not any(map(is_in_secrets, self._part.situation.daemonsets.values())):
            certificates.note(self._agent, self._journal)

    def handover(self, component: Component, choice: Choice) -> BetweenRevisions:
        slack = pace.slack(component, self._part.pod(component))
        return self.handover_of(BetweenRevisions, component, choice, slack=slack)

    def recovery(self, daemonsets: Mapping[Component, dict]) -> Step:
        return Step(
            name=f"recovery-copies/{self._node}",
            title=f"Keep what runs now as recovery copies{self._there}",
            why="the guardian starts these copies after a reboot, so they must be what served last",
            done=unknown,
            do=lambda: self.store_copies(daemonsets),
        )

    def guardian(self, daemonsets: Mapping[Component, dict]) -> Step:
        def install() -> None:
            if on_node.uncopied(daemonsets):
                self._agent.clear_recovery()  # an earlier version may have kept a copy of it
            self.store_copies(daemonsets)
            on_node.install_guardian(self._agent, daemonsets, facts=self._part.facts())

        return Step(
            name=f"guardian/{self._node}",
            title=f"Install the guardian on {self._node}, with recovery copies of what runs now",
            why="after a reboot the kubelet knows only static pods; normally no copy runs",
            done=unknown,
            do=install,
        )

    def store_copies(self, daemonsets: Mapping[Component, dict]) -> None:
        """Write the recovery copies of ``daemonsets`` to the node."""
        on_node.store_copies(
            self._agent,
            daemonsets,
            facts=self._part.facts(),
            journal=self._journal,
            observer=self._observer,
        )
