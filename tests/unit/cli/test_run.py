"""Nothing changes before yes: what a person sees, is asked, and what is written by then."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import typer
from fakes.edge import Call, Edge, Killed
from fakes.runs import Run
from fakes.world import World

from kubectl_selfhost.cli import run
from kubectl_selfhost.cli.verbs import pivot, revert, rollout, sync
from kubectl_selfhost.controlplane.component import APISERVER, COMPONENTS
from kubectl_selfhost.engine import journal
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.rollout.options import RolloutOptions

TIMEOUT = 60.0
#: After which a pivot is killed, from its first order on the node to the last of its first hand-over.
ORDERS = ("hold", "release", "steer", "arm", "confirm")
VERBS: dict[str, Callable[[Any], run.Verb[Any]]] = {
    "pivot": lambda cluster: pivot._verb(cluster, PivotOptions(timeout=TIMEOUT)),
    "revert": lambda cluster: revert._verb(cluster, RevertOptions(timeout=TIMEOUT)),
    "rollout": lambda cluster: rollout._verb(cluster, RolloutOptions(timeout=TIMEOUT)),
    "sync": lambda cluster: sync._verb(cluster, TIMEOUT),
}


@dataclass
class Person:
    """The person who is asked. ``answers`` come in turn; ``before`` is what was changed before each
    question.
    """

    world: World
    answers: list[bool] = field(default_factory=list)
    before: list[list[str]] = field(default_factory=list)

    def confirm(self, *_: Any, **__: Any) -> bool:
        self.before.append(changes(self.world))
        return self.answers.pop(0)


def changes(world: World) -> list[str]:
    """Return what was changed, but for the Lease."""
    return [str(call) for call in world.changed if "/leases" not in call.path]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch=monkeypatch)


@pytest.fixture
def pivoted(world: World) -> World:
    Run(world, "pivot")()
    world.changed.clear()
    return world


@pytest.fixture
def person(world: World, monkeypatch: pytest.MonkeyPatch) -> Person:
    made = Person(world)
    monkeypatch.setattr(typer, "confirm", made.confirm)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return made


def killed_at(
    world: World, order: str, component: str = APISERVER.name, verb: str = "pivot"
) -> None:
    """Run ``verb`` and kill the run right after an order."""

    def meant(call: Call) -> bool:
        return call.order == order and call.fields.get("component") == component

    world.fault(meant, "killed-after")
    with pytest.raises(Killed):
        Run(world, verb)()
    world.changed.clear()


def carry_out(world: World, verb: str, *, yes: bool = False) -> Any:
    cluster = world.client("a person").cluster()
    return run.carry_out(cluster, VERBS[verb](cluster), yes=yes)


def rehearse(world: World, verb: str, output: str = "") -> Edge:
    """Run a dry run, and check that everything stays as it is."""
    edge = world.client("a person")
    cluster = edge.cluster()
    before = everything(world)
    run.rehearse(cluster, VERBS[verb](cluster), how="client", output=output, manifests=lambda _: [])
    assert world.changed == []
    assert everything(world) == before
    return edge


def everything(world: World) -> Any:
    """Return what stands on the nodes, and what a person or a run made in the API; leave out what
    changes by itself (statuses, Leases).
    """
    objects = {
        key: {k: v for k, v in one.items() if k != "status"}
        for key, one in world.store.all()
        if key[0] not in ("leases", "pods", "endpointslices", "daemonsets", "nodes")
    }
    disks = [(node.manifests, node.disk) for node in world.nodes]
    return copy.deepcopy((objects, disks))


def test_a_no_leaves_nothing_behind(world, person):
    person.answers = [False]
    with pytest.raises(SelfhostError, match="You answered no"):
        carry_out(world, "pivot")
    assert person.before == [[]]
    assert changes(world) == []
    assert world.store.find("leases", "kubectl-selfhost", "kube-system") is None


@pytest.mark.parametrize("verb", ["revert", "rollout", "sync"])
def test_a_no_changes_nothing_of_what_is_self_hosted(pivoted, person, verb):
    person.answers = [False]
    with pytest.raises(SelfhostError, match="You answered no"):
        carry_out(pivoted, verb)
    assert changes(pivoted) == []


def test_a_lease_that_was_there_is_given_back_after_a_no(world, person):
    world.store.create(
        "leases",
        {"metadata": {"name": "kubectl-selfhost", "namespace": "kube-system"}, "spec": {}},
    )
    person.answers = [False]
    with pytest.raises(SelfhostError):
        carry_out(world, "pivot")
    kept = world.store.get("leases", "kubectl-selfhost", "kube-system")
    assert kept["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("verb", "order"),
    [
        *[("pivot", order) for order in ORDERS],
        *[(verb, "arm") for verb in ("revert", "rollout", "sync")],
    ],
)
def test_what_a_killed_run_left_is_not_touched_before_yes(world, person, capsys, verb, order):
    killed_at(world, order)
    person.answers = [False]
    with pytest.raises(SelfhostError) as error:
        carry_out(world, verb)
    assert "You answered no" in str(error.value)
    assert changes(world) == []
    shown = capsys.readouterr().err
    assert "First: settle what the interrupted pivot left" in shown
    assert "Complete the unfinished hand-over on cp-1" in shown


@pytest.mark.parametrize("order", ORDERS)
def test_a_dry_run_shows_what_was_left_and_changes_nothing(world, capsys, order):
    killed_at(world, order)
    rehearse(world, "pivot")
    seen = capsys.readouterr()
    assert "First: settle what the interrupted pivot left" in seen.out
    assert "the node agent's pod still exists" in seen.out
    assert "Nothing was changed (--dry-run=client)." in seen.err


@pytest.mark.parametrize("order", ORDERS)
def test_the_run_after_a_kill_ends_self_hosted(world, person, order):
    killed_at(world, order)
    person.answers = [True, True]
    carry_out(world, "pivot")
    assert person.before[0] == []
    assert world.unserved() == []
    assert [world.served_by(c) for c in COMPONENTS] == ["daemonset"] * 3
    assert world.empty_service == 0


def test_the_second_question_comes_only_where_another_plan_was_shown(world, person, capsys):
    """Killed as its pods waited: the plan is known, settling changes nothing of it."""
    killed_at(world, "hold", COMPONENTS[2].name)
    person.answers = [True]
    carry_out(world, "pivot")
    shown = capsys.readouterr().err
    assert shown.index("First: settle") < shown.index("Pivot node cp-1") < shown.index("[1/")
    assert len(person.before) == 1


def test_a_plan_that_was_not_shown_is_asked_about(world, person, capsys):
    killed_at(world, "arm")
    person.answers = [True, False]
    with pytest.raises(SelfhostError, match="You answered no"):
        carry_out(world, "pivot")
    shown = capsys.readouterr().err
    assert "The plan of `pivot` follows then" in shown
    assert shown.index("First: settle") < shown.rindex("Pivot node cp-1")
    assert world.unserved() == []
    assert not any("agent" in one for one in world.ours() if one.startswith("pods/"))


def test_data_is_refused_where_nobody_can_tell_it_yet(world, capsys):
    killed_at(world, "arm")
    with pytest.raises(SelfhostError, match="can't be planned before"):
        rehearse(world, "pivot", output="yaml")
    assert capsys.readouterr().out == ""


def test_the_journal_knows_the_settling_as_a_run_of_its_own(world, person):
    killed_at(world, "arm")
    person.answers = [True, False]
    with pytest.raises(SelfhostError):
        carry_out(world, "pivot")
    runs = journal.read(world.client().cluster())["runs"]
    assert [(one["verb"], one["outcome"]) for one in runs] == [
        ("pivot", "interrupted"),
        ("clean-up", "done"),
    ]


def test_without_a_terminal_and_yes_nothing_begins(world, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    killed_at(world, "arm")
    with pytest.raises(SelfhostError, match="no terminal"):
        carry_out(world, "pivot")
    assert world.changed == []


def test_where_nothing_is_to_do_no_lease_is_taken(pivoted, capsys):
    assert carry_out(pivoted, "pivot") is None
    assert pivoted.changed == []
    assert "already self-hosted" in capsys.readouterr().err
