"""Runs that fail, are stopped or killed, or lose the Lease, at each step of every plan.

Whatever happens: each component is served by one instance afterwards, and the next run of the same
verb ends well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from fakes.edge import Call, Killed
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS, CONTROLLER_MANAGER
from kubectl_selfhost.engine.lease import LeaseLost
from kubectl_selfhost.engine.runner import Stopped
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.errors import SelfhostError

VERBS = ("pivot", "revert", "rollout", "sync")
#: After so many seconds every dead man's switch has done its work.
SETTLED = 150.0
#: Seconds; time is looked at in steps of five meanwhile.
ONE_START = 5.0

_built: dict[tuple[str, int], World] = {}


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], World]:
    """A control plane as it is before a run of a verb: each time a new one, and all are alike."""

    def copy(verb: str, nodes: int) -> World:
        key = "" if verb == "pivot" else "pivoted", nodes
        if key not in _built:
            world = World(nodes=nodes, monkeypatch=monkeypatch)
            if key[0]:
                Run(world, "pivot")()
                world.pass_time(60)
            world.changed.clear()
            _built[key] = world
        return _built[key].copy(monkeypatch)

    return copy


@dataclass
class At:
    """Changes what happens in the step ``number``; ``name`` is known once its turn has come."""

    number: int
    what: Callable[[Step], None]
    name: str = ""

    def __call__(self, number: int, step: Step) -> Step:
        if number != self.number:
            return step
        self.name = step.name
        return replace(step, do=lambda: self.what(step), done=lambda: False)


#: How many steps each verb has on one node and on three, found out once.
_lengths: dict[tuple[str, int], int] = {}


def steps_of(verb: str, world: World) -> range:
    key = verb, len(world.nodes)
    if key not in _lengths:
        run = Run(world, verb)
        run()
        _lengths[key] = len(run.seen.steps)
    assert _lengths[key] > 3
    return range(_lengths[key])


def ends_well(world: World, verb: str, at: At, *, undone: bool = True) -> None:
    """Everything is served, at once and later, and the next run does what this one should have.

    A run that was not ``undone`` may leave two instances side by side until the next one.
    """
    where = f"{verb}, {at.name}"
    world.pass_time(SETTLED)
    # Where there are several nodes, a revert leaves both side by side until the node's label goes.
    assert world.unserved(alone=undone and verb != "revert") == [], where
    # A dead man's switch stops the new instance before the old one comes back.
    assert world.silent_api <= (0.0 if undone else ONE_START), where
    again = Run(world, verb, edge=world.client("the next run"))
    again()
    world.pass_time(SETTLED)
    assert world.unserved() == [], where
    kind = "static" if verb == "revert" else "daemonset"
    kinds = {world.served_by(c, node) for node in world.nodes for c in COMPONENTS}
    assert kinds == {kind}, where
    assert not any("pods/" in one for one in world.ours() if "node-" in one or "agent" in one), (
        where
    )
    assert world.empty_service == 0, where
    if verb == "revert":
        assert world.ours() == [], where


def fail(step: Step) -> None:
    step.do()
    raise SelfhostError("as the test has it")


def fail_at_once(step: Step) -> None:
    raise KeyError("as the test has it")


def interrupt(step: Step) -> None:
    step.do()
    raise KeyboardInterrupt


@pytest.mark.parametrize("verb", VERBS)
def test_a_step_that_fails(before, verb):
    for number in steps_of(verb, before(verb, 1)):
        what = (fail, interrupt, fail_at_once)[number % 3]
        world, at = before(verb, 1), At(number, what)
        with pytest.raises(Stopped if what is interrupt else SelfhostError):
            Run(world, verb, step=at)()
        assert world.unserved(alone=verb != "revert") == [], at.name
        ends_well(world, verb, at)


@pytest.mark.parametrize("verb", VERBS)
def test_a_step_that_fails_on_the_second_of_three_nodes(before, verb):
    for number in steps_of(verb, before(verb, 3))[1::9]:
        world, at = before(verb, 3), At(number, fail)
        with pytest.raises(SelfhostError):
            Run(world, verb, step=at)()
        assert world.unserved(alone=verb != "revert") == [], at.name
        ends_well(world, verb, at)


def test_a_first_pivot_that_fails_leaves_nothing(before):
    for number in steps_of("pivot", before("pivot", 1)):
        world, at = before("pivot", 1), At(number, fail)
        with pytest.raises(SelfhostError):
            Run(world, "pivot", step=at)()
        world.pass_time(SETTLED)
        if at.name.startswith("hand-over/kube-apiserver"):
            return  # from here on what serves stays
        assert world.ours() == [], at.name
        assert world.nodes[0].manifests == world.files["cp-1"], at.name
    pytest.fail("the hand-over of kube-apiserver never came")


# ---- killed ----


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_is_killed_at_the_first_change_of_a_step(before, verb):
    for number in steps_of(verb, before(verb, 1))[1::2]:
        world, how = before(verb, 1), ("killed", "killed-after")[number % 2]

        def kill(step: Step, world: World = world) -> None:
            world.fault(lambda call: call.changes, how)  # noqa: B023 - it is run at once
            step.do()

        at = At(number, kill)
        with pytest.raises(Killed):
            Run(world, verb, step=at)()
        ends_well(world, verb, at, undone=False)


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_is_killed_after_a_step(before, verb):
    for number in steps_of(verb, before(verb, 1))[::2]:
        world, run = before(verb, 1), None

        def kill(step: Step) -> None:
            step.do()
            run.edge.killed = True  # noqa: B023
            raise Killed

        at = At(number, kill)
        run = Run(world, verb, step=at)
        with pytest.raises(Killed):
            run()
        ends_well(world, verb, at, undone=False)


@pytest.mark.parametrize("component", [APISERVER, CONTROLLER_MANAGER])
@pytest.mark.parametrize("verb", ["pivot", "revert"])
def test_a_run_that_is_killed_at_any_change_of_a_hand_over(before, verb, component):
    for skip in range(30):
        world, how = before(verb, 1), ("killed", "killed-after")[skip % 2]

        def kill(step: Step, world: World = world, skip: int = skip, how: str = how) -> None:
            fault = world.fault(lambda call: call.changes, how, skip=skip)
            step.do()
            world.faults.remove(fault)  # this hand-over has no more changes than that

        def change(number: int, step: Step, kill: Callable = kill) -> Step:
            ours = step.name.startswith(f"hand-over/{component}")
            return replace(step, do=lambda: kill(step)) if ours else step

        run = Run(world, verb, step=change)
        with suppress(Killed):
            run()
            break
        at = At(0, fail, name=f"hand-over of {component}, change {skip}: {how}")
        ends_well(world, verb, at, undone=False)
    assert skip > 3


# ---- the Lease ----


@dataclass
class Lease:
    """Stands for the Lease's check; ``lost``: somebody else has it."""

    world: World
    lost: bool = False
    changed: list[Call] = field(default_factory=list)

    def __call__(self) -> None:
        if self.lost:
            raise LeaseLost("bob@desk")

    def lose(self) -> None:
        self.lost = True
        self.changed = list(self.world.changed)


def lost_at(number: int, lease: Lease, *, first: bool) -> At:
    """The Lease is lost as the step begins, or (not ``first``) with its first change."""

    def what(step: Step) -> None:
        if first:
            lease.lose()
        else:
            lease.world.watchers.append(lambda _: None if lease.lost else lease.lose())
        step.do()
        lease.lose() if not lease.lost else None

    return At(number, what)


@pytest.mark.parametrize("verb", VERBS)
def test_who_loses_the_lease_changes_nothing_any_more(before, verb):
    for number in steps_of(verb, before(verb, 1))[:: 1 if verb == "pivot" else 2]:
        world = before(verb, 1)
        lease = Lease(world)
        at = lost_at(number, lease, first=number % 4 < 2)
        run = Run(world, verb, step=at, still_ours=lease, edge=world.client("first"))
        with suppress(LeaseLost):
            run()
            assert number == len(run.seen.steps) - 1  # it lost the Lease at its very end
        assert world.changed == lease.changed, at.name
        world.watchers.clear()
        ends_well(world, verb, at, undone=False)


def test_who_loses_the_lease_on_the_second_of_three_nodes(before):
    for number in steps_of("pivot", before("pivot", 3))[20:34:3]:
        world = before("pivot", 3)
        lease = Lease(world)
        at = lost_at(number, lease, first=False)
        with pytest.raises(LeaseLost):
            Run(world, "pivot", step=at, still_ours=lease, edge=world.client("first"))()
        assert world.changed == lease.changed, at.name
        world.watchers.clear()
        ends_well(world, "pivot", at, undone=False)


# ---- what is lost on the way ----


@pytest.mark.parametrize("verb", VERBS)
def test_answers_that_are_lost_cost_nothing(before, verb):
    world = before(verb, 1)
    for skip in range(0, 60, 4):
        world.fault(lambda call: call.changes, "lost", skip=skip)
    Run(world, verb)()
    at = At(0, fail, name="lost answers")
    ends_well(world, verb, at)


def test_an_undo_that_raises_hides_nothing_and_skips_nothing(before):
    world = before("pivot", 1)
    undone: list[str] = []

    def change(number: int, step: Step) -> Step:
        def undo() -> None:
            undone.append(step.name)
            raise KeyError(step.name)

        do = (lambda: fail(step)) if step.name.startswith("standby") else step.do
        return replace(step, do=do, undo=undo)

    run = Run(world, "pivot", step=change)
    with pytest.raises(SelfhostError, match="as the test has it") as raised:
        run()
    assert undone == list(reversed(run.seen.steps))
    assert all(f"What {name} made is left in place" in raised.value.hint for name in undone)
    ends_well(world, "pivot", At(0, fail, name="undos that raise"))
