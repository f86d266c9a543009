"""The roll-out's steps: each method makes one, with its reason, its check and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.workflow import recovering
from kubectl_selfhost.workflow.between_revisions import BetweenRevisions
from kubectl_selfhost.workflow.conditions import instances_on
from kubectl_selfhost.workflow.journal import Journal, now
from kubectl_selfhost.workflow.runner import Observer
from kubectl_selfhost.workflow.step import Step
from kubectl_selfhost.workflow.steps import CommonSteps
from kubectl_selfhost.workflow.ways import UNAVAILABLE, Choice

if TYPE_CHECKING:
    from kubectl_selfhost.workflow.rollout import Rollout


class RolloutSteps(CommonSteps):
    """Makes the roll-out's steps; each method is one step."""

    def __init__(self, rollout: Rollout, observer: Observer, journal: Journal) -> None:
        super().__init__(
            rollout.cluster,
            rollout.agent,
            address=rollout.advertise_address(),
            timeout=rollout.options.timeout,
            observer=observer,
        )
        self._rollout = rollout
        self._journal = journal

    def inspect(self) -> Step:
        def start() -> None:
            if not self._agent.runs():
                self._agent.start(timeout=self._timeout, tell=self._tell)
            self._agent.check()

        return Step(
            name=f"node-agent/{self._node}",
            title=f"Start the node agent on {self._node}",
            why="it steers connections while two instances share a port",
            done=lambda: False,
            do=start,
            undo=self.stop_agent,
        )

    def handover(self, component: Component, choice: Choice) -> BetweenRevisions:
        return BetweenRevisions(
            self._cluster,
            self._agent,
            component,
            choice=choice,
            timeout=self._timeout,
            tell=self._tell,
        )

    def roll_out(self, handover: BetweenRevisions) -> Step:
        component = handover.component

        def do() -> None:
            handover.do(self._rollout.subject(component))
            self._journal.component(self._node, component.name, rolled_out_at=now())

        return Step(
            name=f"roll-out/{component}",
            title=f"Roll out DaemonSet {component.daemonset}, and hand {component} over",
            why="the old pod goes only when the new one serves",
            done=lambda: False,
            do=do,
            undo=handover.undo,
            unavailable=UNAVAILABLE[handover.choice.way].get(component, ""),
        )

    def former_ended(self) -> Step:
        def ended() -> bool:
            from kubectl_selfhost.cluster.waits import Waiting

            for handover in self._rollout.handovers:
                found = instances_on(self._cluster, handover.component, self._node)
                if len(found) > 1:
                    raise Waiting(f"the former {handover.component} lets its requests finish")
            return True

        return Step(
            name=f"former-pods/{self._node}",
            title="Wait until the former pods have let their last requests finish",
            why="an apiserver with open watches takes 30 s for that; nobody waits for it",
            done=lambda: False,
            do=lambda: self.wait(ended, "the former pods to end"),
        )

    def recovery(self) -> Step:
        def refresh() -> None:
            recovering.store_copies(
                self._agent,
                {c: self._rollout.after(c) for c in self._rollout.options.components},
                facts=self._rollout.node_facts(),
                journal=self._journal,
                observer=self._observer,
            )

        return Step(
            name=f"recovery-copies/{self._node}",
            title="Keep what runs now as recovery copies",
            why="a copy is what ran last and was seen to serve; the guardian starts it after a reboot",
            done=lambda: False,
            do=refresh,
        )

    def guardian(self) -> Step:
        def install() -> None:
            rollout = self._rollout
            daemonsets = {c: rollout.before(c) for c in rollout.options.components}
            recovering.store_copies(
                self._agent,
                daemonsets,
                facts=rollout.node_facts(),
                journal=self._journal,
                observer=self._observer,
            )
            recovering.install_guardian(self._agent, daemonsets, journal=self._journal)

        return Step(
            name=f"guardian/{self._node}",
            title=f"Install the guardian on {self._node}, with recovery copies of what runs now",
            why="after a reboot the kubelet knows static pods only; no copy runs while all is well",
            done=lambda: False,
            do=install,
        )
