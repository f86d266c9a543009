"""The runner: order, resume, and what is undone when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubectl_selfhost.engine import runner
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.step import Plan, Step
from kubectl_selfhost.errors import SelfhostError


class Heard:
    """An observer and a recorder that keep what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.journal: list[tuple[str, str]] = []

    def run_started(self, plan_title: str, steps: int) -> None:
        self.told.append(f"run of {steps}")

    def step_started(self, number: int, name: str, title: str) -> None:
        self.told.append(f"{number} {name}")

    def step_waiting(self, why: str) -> None:
        self.told.append(why)

    def step_done(self, seconds: float, outcome: str) -> None:
        self.told.append(outcome)

    def step_failed(self, seconds: float, message: str) -> None:
        self.told.append(f"failed: {message}")

    def note(self, text: str) -> None:
        self.told.append(text)

    def warning(self, text: str) -> None:
        self.told.append(f"warning: {text}")

    def step_began(self, name: str) -> None:
        self.journal.append((name, "began"))

    def step_ended(self, name: str, outcome: str, message: str = "") -> None:
        self.journal.append((name, outcome))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def did() -> list[str]:
    return []


def raises(error: BaseException):
    def do(*_: object) -> None:
        raise error

    return do


def step(name: str, did: list[str], *, done: bool = False, do=None, undo=None) -> Step:
    return Step(
        name=name,
        title=name,
        why="",
        done=lambda: done,
        do=do or (lambda: did.append(f"do {name}")),
        undo=undo or (lambda: did.append(f"undo {name}")),
    )


def run(steps: list[Step], heard: Heard) -> None:
    runner.run(Plan("a plan", steps), observer=heard, recorder=heard)


def test_steps_run_in_order(did, heard):
    run([step("a", did), step("b", did)], heard)
    assert did == ["do a", "do b"]


def test_a_step_that_is_done_is_passed_over(did, heard):
    run([step("a", did, done=True), step("b", did)], heard)
    assert did == ["do b"]
    assert "already done" in heard.told


def test_the_journal_has_only_what_was_done(did, heard):
    run([step("a", did, done=True), step("b", did)], heard)
    assert heard.journal == [("b", "began"), ("b", "done")]


def test_a_failure_undoes_in_reverse_order_with_the_failed_step_first(did, heard):
    steps = [step("a", did), step("b", did, do=raises(SelfhostError("no"))), step("c", did)]
    with pytest.raises(SelfhostError, match="no"):
        run(steps, heard)
    assert did == ["do a", "undo b", "undo a"]


def test_a_step_of_an_earlier_run_is_undone_too(did, heard):
    steps = [step("a", did, done=True), step("b", did, do=raises(SelfhostError("no")))]
    with pytest.raises(SelfhostError):
        run(steps, heard)
    assert did == ["undo b", "undo a"]


def test_ctrl_c_undoes_and_is_told_as_such(did, heard):
    with pytest.raises(runner.Stopped, match="at the step b"):
        run([step("a", did), step("b", did, do=raises(KeyboardInterrupt()))], heard)
    assert did == ["do a", "undo b", "undo a"]


@pytest.mark.parametrize("moment", ["step_started", "step_done"])
def test_ctrl_c_while_a_step_is_told_of_undoes_too(did, heard, monkeypatch, moment):
    monkeypatch.setattr(heard, moment, raises_when("b", KeyboardInterrupt()))
    with pytest.raises(runner.Stopped):
        run([step("a", did), step("b", did)], heard)
    assert did[-2:] == ["undo b", "undo a"]


def raises_when(name: str, error: BaseException):
    told: list[str] = []

    def tell(*words: object) -> None:
        told.append(str(words))
        if name in str(words) or len(told) == 2:
            raise error

    return tell


def test_what_can_not_be_undone_is_told_and_the_rest_is_undone(did, heard):
    steps = [
        step("a", did),
        step("b", did, undo=raises(SelfhostError("the disk is gone"))),
        step("c", did, do=raises(SelfhostError("no"))),
    ]
    with pytest.raises(SelfhostError) as raised:
        run(steps, heard)
    assert did == ["do a", "do b", "undo c", "undo a"]
    assert "What b made stays in place: the disk is gone" in raised.value.hint


def test_a_second_ctrl_c_ends_the_undoing(did, heard):
    steps = [
        step("a", did),
        step("b", did, do=raises(SelfhostError("no")), undo=raises(KeyboardInterrupt())),
    ]
    with pytest.raises(SelfhostError) as raised:
        run(steps, heard)
    assert did == ["do a"]
    assert "b and the steps before it were not undone" in raised.value.hint


def test_a_bug_is_told_in_a_sentence_after_the_undoing(did, heard):
    with pytest.raises(SelfhostError, match=r"step a failed .*ZeroDivisionError"):
        run([step("a", did, do=lambda: 1 / 0)], heard)
    assert did == ["undo a"]


def test_a_journal_that_can_not_be_written_does_not_hide_the_failure(did):
    class Broken(Heard):
        def step_ended(self, name: str, outcome: str, message: str = "") -> None:
            raise SelfhostError("no API")

    with pytest.raises(SelfhostError, match="the reason"):
        run([step("a", did, do=raises(SelfhostError("the reason")))], Broken())


def test_a_failure_undoes_only_what_was_done_on_its_node(did, heard):
    steps = [
        replace(step("a", did), node="one"),
        replace(step("b", did), node="two"),
        replace(step("c", did, do=raises(SelfhostError("no"))), node="two"),
    ]
    with pytest.raises(SelfhostError):
        run(steps, heard)
    assert did == ["do a", "do b", "undo c", "undo b"]


def test_a_failure_undoes_also_what_was_prepared_on_nodes_that_are_not_done(did, heard):
    steps = [
        replace(step("prepare one", did), node="one"),
        replace(step("prepare two", did), node="two"),
        replace(step("prepare three", did), node="three"),
        replace(step("switch one", did), node="one"),
        replace(step("switch two", did, do=raises(SelfhostError("no"))), node="two"),
        replace(step("switch three", did), node="three"),
    ]
    with pytest.raises(SelfhostError):
        run(steps, heard)
    assert did[4:] == ["undo switch two", "undo prepare three", "undo prepare two"]


def test_steps_of_the_whole_cluster_are_not_undone_for_a_node(did, heard):
    steps = [
        step("of all", did),
        replace(step("of one", did, do=raises(SelfhostError("no"))), node="one"),
        step("of all, too", did),
    ]
    with pytest.raises(SelfhostError):
        run(steps, heard)
    assert did == ["do of all", "undo of one"]


def test_any_failure_of_an_undo_skips_no_other_and_hides_nothing(did, heard):
    steps = [
        step("a", did),
        step("b", did, undo=raises(KeyError("uid"))),
        step("c", did, do=raises(SelfhostError("the real reason"))),
    ]
    with pytest.raises(SelfhostError, match="the real reason") as raised:
        run(steps, heard)
    assert did == ["do a", "do b", "undo c", "undo a"]
    assert "What b made stays in place: KeyError: 'uid'" in raised.value.hint
    assert heard.journal[-1] == ("c", "failed")


def test_a_second_ctrl_c_at_any_moment_ends_in_a_sentence(did, heard, monkeypatch):
    monkeypatch.setattr(heard, "step_failed", raises(KeyboardInterrupt()))
    with pytest.raises(SelfhostError, match="the reason") as raised:
        run([step("a", did, do=raises(SelfhostError("the reason")))], heard)
    assert did == []
    assert "a and the steps before it were not undone" in raised.value.hint
    assert heard.journal[-1] == ("a", "failed")


LOST = LeaseLost("bob@desk")


def test_who_has_lost_the_lease_undoes_nothing_and_writes_nothing(did, heard):
    with pytest.raises(LeaseLost, match="bob@desk holds the lease"):
        run([step("a", did), step("b", did, do=raises(LOST))], heard)
    assert did == ["do a"]
    assert heard.journal == [("a", "began"), ("a", "done"), ("b", "began")]
    assert any("failed: Another run" in one for one in heard.told)


def test_who_loses_the_lease_before_a_step_does_not_begin_it(did, heard):
    with pytest.raises(LeaseLost):
        runner.run(
            Plan("a plan", [step("a", did)]),
            observer=heard,
            recorder=heard,
            before_each=raises(LOST),
        )
    assert did == []
    assert heard.journal == []


def test_who_loses_the_lease_while_undoing_stops_there(did, heard):
    steps = [
        step("a", did),
        step("b", did, undo=raises(LOST)),
        step("c", did, do=raises(SelfhostError("the reason"))),
    ]
    with pytest.raises(SelfhostError, match="the reason") as raised:
        run(steps, heard)
    assert did == ["do a", "do b", "undo c"]
    assert "b and the steps before it were not undone: Another run" in raised.value.hint


def test_a_terminal_that_is_gone_keeps_nothing_from_being_undone(did, heard, monkeypatch):
    for word in ("step_failed", "warning"):
        monkeypatch.setattr(heard, word, raises(BrokenPipeError()))
    steps = [
        step("a", did),
        step("b", did, undo=raises(SelfhostError("stuck"))),
        step("c", did, do=raises(SelfhostError("the reason"))),
    ]
    with pytest.raises(SelfhostError, match="the reason"):
        run(steps, heard)
    assert did == ["do a", "do b", "undo c", "undo a"]
