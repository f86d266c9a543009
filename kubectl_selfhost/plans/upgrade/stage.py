"""A stage of an upgrade: a roll-out of some components, as one change of each.

The stages of a plan have the same nodes and the same agents. An earlier stage changes what runs, so a
stage reads the situation again when its step begins, and asks the DaemonSet whether the step is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.pod.staticpod import component_container
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover.revision_on_all_nodes import AcrossNodes
from kubectl_selfhost.handover.revision_to_revision import BetweenRevisions
from kubectl_selfhost.names import NAMESPACE
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.rollout.steps import RolloutSteps
from kubectl_selfhost.plans.shared import service_address
from kubectl_selfhost.plans.shared.situation import Situation, read_situation

#: Returns the change of a component whose container is given; an empty one if nothing changes.
Changes = Callable[[Component, dict], Change]
#: Returns whether a change that is complete may still be taken back.
May = Callable[[], bool]
WayBack = Callable[[Component], None]


class Stage(Rollout):
    """A stage, called ``name``. Its steps go back as long as ``may_go_back``; what an earlier run has
    changed goes the ``way_back``.
    """

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        nodes: Sequence[NodeRollout],
        options: RolloutOptions,
        name: str,
        changes: Changes,
        may_go_back: May,
        way_back: WayBack | None = None,
    ) -> None:
        super().__init__(cluster, situation, nodes=nodes, options=options)
        self.name = name
        self._changes = changes
        self._may_go_back = may_go_back
        self.way_back = way_back

    def change(self, component: Component) -> Change:
        return self._changes(component, container(self.before(component)))

    def is_done(self, component: Component) -> bool:
        """Return whether the DaemonSet of the component's group, as it is now, needs no change."""
        now = self.cluster.get(DAEMONSETS, component.daemonset, NAMESPACE)
        return not self._changes(component, container(now))

    def changes(
        self, steps: Sequence[RolloutSteps], observer: Observer, journal: Journal
    ) -> list[Step]:
        self._steps = steps
        made = super().changes(steps, observer, journal)
        return [self._own(one) for one in made]

    def _own(self, step: Step) -> Step:
        """Return the step with a name that no other stage has."""
        if step.name.startswith("roll-out/"):
            return step
        if step.name.startswith("keep-address"):
            kept = step.done
            step = replace(step, done=lambda: kept() or all(map(self.is_done, self.components())))
        return replace(step, name=f"{step.name}/{self.name}")

    def _roll_out(
        self, handovers: list[BetweenRevisions], observer: Observer, journal: Journal
    ) -> Step:
        component = handovers[0].component
        rolled = self._across(handovers, observer)
        step = self._step_of(rolled, handovers, journal)

        def do() -> None:
            self._read()
            step.do()

        return replace(
            step,
            name="/".join(filter(None, ("roll-out", self.name, component.name, component.group))),
            done=lambda: self.is_done(component),
            do=do,
            undo=lambda: self._undo(rolled, component),
        )

    def _undo(self, rolled: AcrossNodes, component: Component) -> None:
        if not self._may_go_back():
            rolled.undo()
        elif rolled.has_begun:
            self._go_back(rolled, component)
        elif self.way_back is not None:
            self.way_back(component)

    def _go_back(self, rolled: AcrossNodes, component: Component) -> None:
        first = self._steps[0]
        if component == APISERVER:
            service_address.keep(self.cluster, [one.advertise_address() for one in self.nodes])
        rolled.go_back()
        if component == APISERVER:
            first.give_address_back()
        for own, one in zip(self._steps, self.nodes, strict=True):
            if one.group == component.group and self.situation.has_guardian(one.node):
                own.store_copies(self._now([component]))

    def _copies(self, steps: Sequence[RolloutSteps]) -> list[Step]:
        found = []
        for own, one in zip(steps, self.nodes, strict=True):
            if self.situation.has_guardian(one.node):
                found.append(self._copies_on(own, one))
        return found

    def _copies_on(self, own: RolloutSteps, one: NodeRollout) -> Step:
        meant = [c for c in one.components() if c in self.options.components]
        return replace(own.recovery({}), do=lambda: own.store_copies(self._now(meant)))

    def _now(self, components: Sequence[Component]) -> dict[Component, dict]:
        return {one: self.cluster.get(DAEMONSETS, one.daemonset, NAMESPACE) for one in components}

    def _read(self) -> None:
        self.situation = read_situation(self.cluster)
        for one in self.nodes:
            one.situation = self.situation


def container(daemonset: dict) -> dict:
    """Return the container that runs the component in the pods of its DaemonSet."""
    return component_container(daemonset["spec"]["template"])


def at_once(steps: Sequence[Step], observer: Observer) -> None:
    """Do the steps now, inside the undoing of another step; undo them if one of them fails."""
    for number, step in enumerate(steps, 1):
        try:
            if not step.done():
                step.do()
        except LeaseLost:
            raise
        except SelfhostError:
            for begun in reversed(steps[:number]):
                _undo(begun, observer)
            raise


def _undo(step: Step, observer: Observer) -> None:
    try:
        step.undo()
    except LeaseLost:
        raise
    except SelfhostError as error:
        observer.warning(f"could not undo {step.name}: {error.message}")
