"""The plan of a roll-out: each self-hosted component goes from one revision to the next.

A DaemonSet belongs to the whole control plane: all its nodes are rolled out, one after the other,
in the order that the DaemonSet controller chooses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.cluster.waits import Waiting
from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset import change as changes
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.daemonset.progress import is_available
from kubectl_selfhost.controlplane.pod import difference
from kubectl_selfhost.controlplane.side_by_side import pace
from kubectl_selfhost.engine.journal import Journal, now
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step, looks_itself
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.conditions import instances_on
from kubectl_selfhost.handover.revision_on_all_nodes import AcrossNodes
from kubectl_selfhost.handover.revision_to_revision import BetweenRevisions
from kubectl_selfhost.handover.ways import Choice
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.node import binaries
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.steps import RolloutSteps
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Situation

_ONE_AFTER_THE_OTHER = (
    "A DaemonSet is for all nodes: each component is rolled out on one node after the other, in the "
    "DaemonSet controller's order. If a node fails, all nodes go back."
)
_NEVER_COSTS = (
    "If a new pod does not get Ready, the old pod keeps serving, and the run rolls the DaemonSet "
    "back."
)
_ONE_AT_A_TIME = (
    "Two instances of {components} must not run side by side: the run deletes the old pod when the new "
    "pod waits. If the new pod does not get Ready, this run (not the node) starts a pod like the old "
    "one. So do not interrupt this run."
)
_GROUPS = (
    "Nodes that differ have separate DaemonSets, which are rolled out one after the other. If a rollout "
    "fails, the rollouts before it stay."
)


S = TypeVar("S")


class Rollout:
    """A roll-out, from a situation that was read before, on ``nodes``."""

    part: type[NodeRollout] = NodeRollout

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        nodes: Sequence[NodeRollout],
        options: RolloutOptions,
    ) -> None:
        self.cluster = cluster
        self.situation = situation
        self.options = options
        self.nodes = list(nodes)
        self.stamp = now()
        self.handovers: list[BetweenRevisions] = []

    def components(self) -> list[Component]:
        """Return the components that are meant, for each group of nodes that has a DaemonSet of its
        own.
        """
        return [
            component.of(group)
            for component in self.options.components
            for group in dict.fromkeys(one.group for one in self.nodes)
        ]

    def before(self, component: Component) -> dict:
        """Return the DaemonSet of the component's group as it is."""
        return self.situation.daemonset(component)

    def after(self, component: Component) -> dict:
        """Return the DaemonSet after the change, with this build's program."""
        changed = changes.changed(
            self.before(component), component, self.change(component), now=self.stamp
        )
        arch = next(one.target.arch for one in self.nodes if one.group == component.group)
        return programs.with_program(changed, binaries.secret_name(arch))

    def needs(self, component: Component) -> bool:
        """Return whether the component needs new pods in its group; told when its turn comes. A
        rollout that a person asks for always makes new pods.
        """
        del component
        return True

    def change(self, _component: Component) -> Change:
        """Return what changes in the component's DaemonSet, beside its pods."""
        return self.options.change

    def outcome(self) -> Outcome:
        """Return what a person reads at the end."""
        return Outcome("The rollout is done.")

    def manifests(self) -> list[dict]:
        """Return every DaemonSet as it will be, including those of each group of nodes."""
        return [self.after(component) for component in self.components()]

    def differences(self) -> dict[str, list[str]]:
        """Return what will differ in the pods of each component, in words; by group if nodes have
        DaemonSets of their own.
        """
        return {
            f"{component} of {component.group}" if component.group else component.name: [
                str(one)
                for one in difference.compare(
                    {"spec": self.before(component)["spec"]["template"]["spec"]},
                    {"spec": self.after(component)["spec"]["template"]["spec"]},
                )
            ]
            for component in self.components()
        }

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps that bring each component to its next revision."""
        steps = [RolloutSteps(self.cluster, one, observer, journal) for one in self.nodes]
        return Plan(
            title=f"Roll out the self-hosted control plane on {in_words(self.nodes)}",
            steps=[
                *[own.program() for own in self.first_of_each_kind(steps)],
                *[own.inspect() for own in steps],
                *self.changes(steps, observer, journal),
                *[own.end_agent() for own in steps],
            ],
            facts={**as_fact(self.nodes), **ways.told(self.choices)},
            know=[
                *[
                    f"{component}: {'; '.join(said) or 'only new pods'}"
                    for component, said in self.differences().items()
                ],
                *self.how_it_goes(),
            ],
        )

    @cached_property
    def choices(self) -> dict[str, dict[Component, Choice]]:
        """Return the way in which each component will change hands, by node."""
        return {one.node: one.choices() for one in self.nodes}

    def how_it_goes(self) -> list[str]:
        """Return what a person should know of any roll-out of these components."""
        return [
            *([_ONE_AFTER_THE_OTHER] if len(self.nodes) > 1 else []),
            *([_GROUPS] if any(one.group for one in self.nodes) else []),
            *self._falls_back(self.choices),
        ]

    def changes(
        self, steps: Sequence[RolloutSteps], observer: Observer, journal: Journal
    ) -> list[Step]:
        """Return the steps from the first new pod to the recovery copies; ``steps`` are the nodes'."""
        by_node = self.choices
        made = [
            [
                own.handover(self.situation.led(component, one.node), by_node[one.node][component])
                for own, one in zip(steps, self.nodes, strict=True)
                if one.group == component.group
            ]
            for component in self.components()
        ]
        self.handovers = [handover for some in made for handover in some]
        first, others = steps[0], [one.advertise_address() for one in self.nodes[1:]]
        bridge = APISERVER in self.options.components
        around = [
            *([first.keep_address(*others)] if bridge else []),
            self._former_ended(first),
            *([first.release_address(*others)] if bridge else []),
            *self._copies(steps),
        ]
        around = [self._if_needed(one) for one in around]
        at = 1 if bridge else 0
        rolled = [self._roll_out(some, observer, journal) for some in made]
        return [*around[:at], *rolled, *around[at:]]

    def _copies(self, steps: Sequence[RolloutSteps]) -> list[Step]:
        return [
            own.recovery({c: self.after(c) for c in one.components()})
            for own, one in zip(steps, self.nodes, strict=True)
            if self.situation.has_guardian(one.node)
        ]

    def _if_needed(self, step: Step) -> Step:
        """Return the step, which is done also if no component needs new pods."""
        return replace(
            step, done=lambda: not any(map(self.needs, self.components())) or step.done()
        )

    @staticmethod
    def _falls_back(by_node: Mapping[str, Mapping[Component, Choice]]) -> list[str]:
        """Return what becomes of a new pod that does not get Ready; by the way that each component
        goes.
        """
        alone = dict.fromkeys(
            component.name
            for choices in by_node.values()
            for component, choice in choices.items()
            if choice.way == ways.WAITING
        )
        beside = any(c.name not in alone for choices in by_node.values() for c in choices)
        return [
            *([_NEVER_COSTS] if beside else []),
            *([_ONE_AT_A_TIME.format(components=" and ".join(alone))] if alone else []),
        ]

    def first_of_each_kind(self, steps: Sequence[S]) -> list[S]:
        """Return the first node's steps for each kind of CPU."""
        pairs = zip(self.nodes, steps, strict=True)
        return list({one.agent.target.arch: own for one, own in pairs}.values())

    def _roll_out(
        self, handovers: list[BetweenRevisions], observer: Observer, journal: Journal
    ) -> Step:
        return self._step_of(self._across(handovers, observer), handovers, journal)

    def _across(self, handovers: list[BetweenRevisions], observer: Observer) -> AcrossNodes:
        return AcrossNodes(
            self.cluster, handovers, timeout=self.options.timeout, tell=observer.step_waiting
        )

    def _step_of(
        self, rolled: AcrossNodes, handovers: list[BetweenRevisions], journal: Journal
    ) -> Step:
        component = handovers[0].component
        meant = [one for one in self.nodes if one.group == component.group]

        def do() -> None:
            before, after = self.before(component), self.after(component)
            rolled.do(
                {one.node: one.subject(component, before=before, after=after) for one in meant}
            )
            for one in meant:
                one.agent.require_same_program(f"the pods of {component.daemonset}")
                journal.component(one.node, component.name, rolled_out_at=now())

        return Step(
            name="/".join(filter(None, ("roll-out", component.name, component.group))),
            title=f"Roll out DaemonSet {component.daemonset}, and hand {component} over",
            why=(
                "the new pod waits for the port, so the run deletes the old pod"
                if handovers[0].choice.way == ways.WAITING
                else "the old pod goes only when the new pod serves"
            ),
            done=lambda: not self.needs(component),
            do=do,
            undo=rolled.undo,
            unavailable=ways.unavailable(
                component, handovers[0].choice.way, meant[0].pod(component)
            ),
        )

    def _former_ended(self, steps: RolloutSteps) -> Step:
        def ended() -> bool:
            for one in self.handovers:
                if len(instances_on(self.cluster, one.component, one.node)) > 1:
                    raise Waiting(f"the former {one.component} finishes its requests")
            # A change made before would be stuck: the DaemonSet controller looks again once for
            # both new pods, minReadySeconds after the first (client-go's AddAfter).
            for component in self.components():
                if not is_available(self.cluster.get(DAEMONSETS, component.daemonset, NAMESPACE)):
                    raise Waiting(
                        f"DaemonSet {component.daemonset} doesn't count the new pod as available"
                    )
            return True

        return Step(
            name=f"former-pods/{self.nodes[0].node}" if len(self.nodes) == 1 else "former-pods",
            title="Wait until the former pods have finished their last requests, and the new pods "
            "count as available",
            why="an API server with open watches needs 30 s; meanwhile clients use the new one",
            done=looks_itself,
            do=lambda: steps.wait(
                ended,
                "the former pods to end, the new ones to be available",
                slack=max(
                    pace.grace_period(one.pod(component))
                    for one in self.nodes
                    for component in self.options.components
                ),
            ),
        )
