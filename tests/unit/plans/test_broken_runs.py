"""Every plan fails at each of its steps, in each way (see ``fakes.branches``).

Whatever happens: somebody serves the API at each moment, no manifest is lost, the error is a
sentence with advice, and the next run of the same verb ends well and leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from fakes.branches import (
    FAILURES,
    HOW,
    KILLS,
    LEASE,
    ONE_START,
    OUTAGES,
    Trial,
    came_to_its_end,
    first_change,
    first_look,
)
from fakes.edge import Call, Killed
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.controlplane.component import APISERVER, SCHEDULER
from kubectl_selfhost.engine.step import Step
from kubectl_selfhost.errors import SelfhostError

Before = Callable[..., World]

#: What happens at each step of a plan for one node.
AT_EACH_STEP = (*FAILURES, *LEASE, *KILLS)
#: Of each of these one happens at a step, the next one at the next step: plans don't know them apart
#: (the room ``cluster`` does, which has tests of its own).
IN_TURN = (
    OUTAGES,
    [first_change(how) for how in (*HOW, "lost")],
    [first_look(how) for how in HOW],
)
#: On three nodes, and where a plan differs by its content alone, all of them take turns: the steps
#: are those of one node, and so is the code.
ALL_IN_TURN = (
    [*FAILURES, *LEASE],
    [*OUTAGES, *(way for some in IN_TURN[1:] for way in some)],
    KILLS,
)

_built: dict[tuple[bool, int], World] = {}


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Return a maker of control planes as they are before a run of a verb; all of them are alike."""

    def build(verb: str, nodes: int = 1) -> World:
        pivoted = verb != "pivot"
        if (pivoted, nodes) not in _built:
            world = World(nodes=nodes, monkeypatch=monkeypatch)
            if pivoted:
                Run(world, "pivot")()
                world.pass_time(60)
            world.changed.clear()
            _built[pivoted, nodes] = world
        return _built[pivoted, nodes].copy(monkeypatch)

    return build


@pytest.mark.parametrize("verb", ["pivot", "revert", "rollout", "sync"])
def test_on_one_node(before, verb):
    trial = Trial(world=before(verb), verb=verb, ways=AT_EACH_STEP, in_turn=IN_TURN).explore()
    assert trial.broken >= len(trial.steps) * (len(AT_EACH_STEP) - len(KILLS) + len(IN_TURN))


@pytest.mark.parametrize("verb", ["pivot", "revert", "rollout", "sync", "credentials renew"])
def test_on_the_second_of_three_nodes(before, verb):
    """The first one has nothing done before it, as on one node; the third one is like the second."""
    trial = Trial(
        world=before(verb, 3),
        verb=verb,
        in_turn=ALL_IN_TURN,
        meant=lambda name, _: not re.search(r"/cp-[13]\b", name),
    ).explore()
    assert any("/cp-2" in name for name in trial.steps)


OTHERS = [
    ("rollout", {"flags": {"v": ["4"]}}),
    ("rollout", {"components": (SCHEDULER,), "image": "registry.example/kube-scheduler:v1.37.3"}),
    ("revert", {"from_backup": True}),
    ("credentials renew", {}),
]


@pytest.mark.parametrize(("verb", "options"), OTHERS)
def test_of_what_may_be_chosen(before, verb, options):
    # The plan of a revert from the backup says that it takes another start of each component.
    silence = 2 * ONE_START if "from_backup" in options else 0.0
    trial = Trial(
        world=before(verb), verb=verb, options=options, in_turn=ALL_IN_TURN, silence=silence
    )
    trial.explore()


def order(name: str, component: str = APISERVER.name) -> Callable[[Call], bool]:
    return lambda call: call.order == name and call.fields.get("component") == component


MID_AIR = [
    *[("pivot", order(name)) for name in ("share", "steer", "arm")],
    *[("revert", order(name)) for name in ("place", "confirm")],
    ("pivot", order("arm", "kube-controller-manager")),
]


@pytest.mark.parametrize(("verb", "last"), MID_AIR, ids=lambda one: one if str(one) == one else "")
def test_as_the_next_run_settles_what_a_killed_one_left(before, verb, last):
    world = before(verb)
    fault = world.fault(last, "killed-after")
    with pytest.raises(Killed):
        Run(world, verb)()
    assert fault.met == 1
    world.faults.clear()
    trial = Trial(
        world=world,
        verb=verb,
        in_turn=(FAILURES, LEASE, [*OUTAGES, *IN_TURN[1]], KILLS),
        meant=lambda _, plan: "finish/cp-1" in plan,
        mid_air=True,
        # An agent that is ended takes back what waits for its word: one start, while the former
        # instance may still be ending.
        silence=ONE_START,
    ).explore()
    assert "finish/cp-1" in trial.steps


@pytest.mark.parametrize("verb", ["pivot", "revert", "rollout", "sync", "credentials renew"])
def test_answers_that_are_lost_again_and_again_cost_nothing(before, verb):
    world = before(verb)
    lost = [world.fault(lambda call: call.changes, "lost", skip=skip) for skip in range(0, 60, 2)]
    Run(world, verb)()
    assert lost[0].met == 1
    world.faults.clear()
    world.pass_time(60)
    came_to_its_end(world, verb)
    assert world.silent_api == 0


def test_an_undo_that_raises_hides_nothing_and_skips_nothing(before):
    world = before("pivot")
    undone: list[str] = []

    def fail() -> None:
        raise SelfhostError("as the test has it")

    def change(number: int, step: Step) -> Step:
        def undo() -> None:
            undone.append(step.name)
            raise KeyError(step.name)

        return replace(step, do=fail if step.name.startswith("standby") else step.do, undo=undo)

    run = Run(world, "pivot", step=change)
    with pytest.raises(SelfhostError, match="as the test has it") as raised:
        run()
    assert undone == list(reversed(run.seen.steps))
    assert all(f"What {name} made stays in place" in raised.value.hint for name in undone)
    Run(world, "pivot", edge=world.client("the next run"))()
    world.pass_time(60)
    came_to_its_end(world, "pivot")


def test_what_a_trial_finds_is_told(before, monkeypatch):
    """A fault that is put in is found: an agent's pod that no undo takes away."""

    def forgets(number: int, step: Step) -> Step:
        return replace(step, undo=lambda: None) if step.name.startswith("node-agent") else step

    trial = Trial(world=before("pivot"), verb="pivot", ways=FAILURES[1:2])
    changed = trial._changed
    monkeypatch.setattr(trial, "_changed", lambda n, step: changed(n, forgets(n, step)))
    with pytest.raises(AssertionError, match=r"pivot, node-agent/cp-1: it fails at its end"):
        trial.explore()
