"""Every plan fails at each of its steps, in each way (see ``fakes.branches``).

Whatever happens: somebody serves the API at each moment, no manifest is lost, the error is a
sentence with advice, and the next run of the same verb ends well and leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from fakes import records
from fakes.branches import (
    FAILURES,
    HOW,
    KILLS,
    LEASE,
    ONE_START,
    OUTAGES,
    Trial,
    Way,
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

#: Plans don't know these apart (the room ``cluster`` does, which has tests of its own).
CHANGES = [first_change(how) for how in (*HOW, "lost")]
LOOKS = [first_look(how) for how in HOW]
EVERY = (*FAILURES, *LEASE, *KILLS, *OUTAGES, *CHANGES, *LOOKS)
#: A step that many plans have has other ways to fail in each of them: so much further is its turn.
TURN = {
    "pivot": 0,
    "revert": 1,
    "rollout": 2,
    "sync": 3,
    "credentials renew": 4,
    "credentials to-secrets": 5,
    "credentials to-host": 6,
    "upgrade": 7,
}
#: Steps that are the same in every plan.
COMMON = re.compile(r"(agent-program|node-agent/|label/|keep-address/|end-agent/|release-address)")


def hands_over(step: str) -> bool:
    """Return whether something changes hands in a step: a component, or the certificates' files."""
    certificates = step.partition("/")[0].endswith("certificates")
    return certificates or step.startswith(("hand-over/", "roll-out/", "exchange/", "finish"))


def in_turn(turn: int, *groups: Sequence[Way]) -> tuple[Way, ...]:
    """Return one way of each group, at the next turn the next one."""
    return tuple(group[turn % len(group)] for group in groups)


def on_one_node(verb: str) -> Callable[[str, int], Sequence[Way]]:
    """Return the ways to fail at a step: a hand-over, and a sync, fails in every way."""

    def ways(step: str, number: int) -> Sequence[Way]:
        turn = number + TURN[verb]
        if hands_over(step) or verb == "sync":
            return (*FAILURES, *LEASE, *in_turn(turn, OUTAGES, CHANGES, LOOKS))
        return in_turn(turn, FAILURES, LEASE, OUTAGES, CHANGES, LOOKS)

    return ways


def kills_on_one_node(verb: str) -> Callable[[str, int, int], Sequence[Way]]:
    """Return the ways to be killed after a change.

    Each change has both ways in the hand-over of the apiserver. The two others make the same changes:
    what comes at once in the one comes later in the other.
    """

    def kills(step: str, number: int, change: int) -> Sequence[Way]:
        if step.endswith(f"/{APISERVER}") or verb == "sync":
            return KILLS
        if step.endswith(f"/{SCHEDULER}"):
            change += 1
        if COMMON.match(step) and verb != "pivot" and change:
            return ()
        return in_turn(change if hands_over(step) else number + change + TURN[verb], KILLS)

    return kills


def in_short(verb: str) -> Callable[[str, int], Sequence[Way]]:
    """Return the ways to fail at a step where the steps, and so the code, are those of one node:
    a hand-over fails in one way of each kind, another step in one way.
    """

    def ways(step: str, number: int) -> Sequence[Way]:
        turn = number + TURN[verb]
        both = in_turn(turn, [*FAILURES, *LEASE], [*OUTAGES, *CHANGES, *LOOKS])
        return both if hands_over(step) else in_turn(turn, both)

    return ways


def one_kill(verb: str) -> Callable[[str, int, int], Sequence[Way]]:
    """Return a way to be killed after one change of a step: after another one in the next step, and
    of steps that every plan has in every other one.
    """

    def kills(step: str, number: int, change: int) -> Sequence[Way]:
        turn = number + TURN[verb]
        if verb == "credentials renew":
            return in_turn(turn + change, KILLS)
        if change != (turn % 3 if hands_over(step) else 0) or (COMMON.match(step) and turn % 2):
            return ()
        return in_turn(turn, KILLS)

    return kills


_built: dict[tuple[tuple[str, ...], int], World] = {}


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    """Return a maker of control planes as they are before a run of a verb; all of them are alike."""

    def build(verb: str, nodes: int = 1) -> World:
        earlier = {
            "pivot": (),
            "credentials to-host": ("pivot", "credentials to-secrets"),
        }.get(verb, ("pivot",))
        key = *earlier[-1:], *([verb] if verb == "upgrade" else [])
        if (key, nodes) not in _built:
            world = World(nodes=nodes, monkeypatch=monkeypatch)
            for one in earlier:
                Run(world, one)()
                world.pass_time(60)
            if "credentials to-secrets" in earlier:  # a file that is to be put back
                for node in world.nodes:
                    node.credentials.make(node.credentials.files, "scheduler.conf", days=300)
            if verb == "upgrade":
                records.add(world)
            world.changed.clear()
            _built[key, nodes] = world
        return _built[key, nodes].copy(monkeypatch)

    return build


@pytest.mark.parametrize("verb", ["pivot", "revert", "rollout", "sync"])
def test_on_one_node(before, verb):
    trial = Trial(
        world=before(verb), verb=verb, ways=on_one_node(verb), kills=kills_on_one_node(verb)
    ).explore()
    missing = {way.name for way in EVERY} - {way for _, way in trial.met}
    assert len(missing) <= max(0, len(CHANGES) - len(trial.steps))
    for hand_over in filter(hands_over, trial.steps):
        met = {way for step, way in trial.met if step == hand_over}
        assert met >= {way.name for way in (*FAILURES, *LEASE, *KILLS)}
    assert {step for step, _ in trial.met} == set(trial.steps)


@pytest.mark.parametrize("verb", ["pivot", "revert", "rollout", "sync", "credentials renew"])
def test_on_the_second_of_three_nodes(before, verb):
    """The first one has nothing done before it, as on one node; the third one is like the second."""
    trial = Trial(
        world=before(verb, 3),
        verb=verb,
        ways=in_short(verb),
        kills=one_kill(verb),
        meant=lambda name, _: not re.search(r"/cp-[13]\b", name),
    ).explore()
    assert any("/cp-2" in name for name in trial.steps)


OTHERS = [
    ("rollout", {"flags": {"v": ["4"]}}),
    ("rollout", {"components": (SCHEDULER,), "image": "registry.example/kube-scheduler:v1.37.3"}),
    ("revert", {"from_backup": True}),
    ("credentials renew", {}),
    ("credentials to-secrets", {}),
    ("credentials to-host", {}),
    ("upgrade", {}),
]


@pytest.mark.parametrize(("verb", "options"), OTHERS)
def test_of_what_may_be_chosen(before, verb, options):
    # The plan of a revert from the backup says that it takes another start of each component.
    silence = 2 * ONE_START if "from_backup" in options else 0.0
    Trial(
        world=before(verb),
        verb=verb,
        options=options,
        ways=in_short(verb),
        kills=one_kill(verb),
        silence=silence,
    ).explore()


def test_of_a_renewal_in_secrets(before):
    Trial(
        world=before("credentials to-host"),
        verb="credentials renew",
        ways=in_short("credentials renew"),
        kills=one_kill("credentials renew"),
    ).explore()


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
        ways=lambda _, number: in_turn(number, [*FAILURES, *LEASE], [*OUTAGES, *CHANGES]),
        kills=one_kill(verb),
        meant=lambda _, plan: "finish/cp-1" in plan,
        mid_air=True,
        # An agent that is ended takes back what waits for its word: one start, while the former
        # instance may still be ending.
        silence=ONE_START,
    ).explore()
    assert "finish/cp-1" in trial.steps


@pytest.mark.parametrize("verb", list(TURN))
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

    trial = Trial(
        world=before("pivot"),
        verb="pivot",
        ways=lambda *_: FAILURES[1:2],
        meant=lambda name, _: name.startswith("node-agent"),
    )
    changed = trial._changed
    monkeypatch.setattr(trial, "_changed", lambda n, step: changed(n, forgets(n, step)))
    with pytest.raises(AssertionError, match=r"pivot, node-agent/cp-1: it fails at its end"):
        trial.explore()
