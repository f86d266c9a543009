"""Runs a plan, and leaves a working control plane behind whatever happens on the way.

A step that fails, or a person's Ctrl-C, ends the run: the steps so far on its node are undone in
reverse order, as far as nothing uses what they made; nodes that were done before stay done. A step
is never undone by memory but by what is there, so the same code cleans up after a run that was
killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.workflow.step import Plan, Step, nothing


class Observer(Protocol):
    """Who is told of a run while it happens. Times are in seconds."""

    def run_started(self, plan_title: str, steps: int) -> None: ...
    def step_started(self, number: int, name: str, title: str) -> None: ...
    def step_waiting(self, why: str) -> None: ...
    def step_done(self, seconds: float, outcome: str) -> None: ...
    def step_failed(self, seconds: float, message: str) -> None: ...
    def note(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...


class Recorder(Protocol):
    """Who writes down what was done (the journal)."""

    def step_began(self, name: str) -> None: ...
    def step_ended(self, name: str, outcome: str, message: str = "") -> None: ...


class Stopped(SelfhostError):
    """The person pressed Ctrl-C (or the process was told to end)."""


def run(
    plan: Plan,
    *,
    observer: Observer,
    recorder: Recorder,
    before_each: Callable[[], None] = nothing,
) -> None:
    """Does the steps of ``plan`` that aren't done yet, in order; ``before_each`` may raise to stop.

    Raises the SelfhostError that ended the run, or Stopped, after the undoing; the error's hint
    says what could not be undone. A bug in a step ends it in the same way, as a SelfhostError.
    """
    observer.run_started(plan.title, len(plan.steps))
    for number, step in enumerate(plan.steps, 1):
        began = time.monotonic()
        try:  # Ctrl-C may come at any moment: nothing of a step's is outside
            observer.step_started(number, step.name, step.title)
            before_each()
            outcome = _do(step, recorder)
            observer.step_done(time.monotonic() - began, outcome)
        except BaseException as failure:
            error = _as_error(failure, step)
            observer.step_failed(time.monotonic() - began, error.message)
            same_node = [one for one in plan.steps[:number] if one.node == step.node]
            left = _undo(same_node, observer)
            _record_failure(recorder, step, error)
            if left:
                error.hint = " ".join([error.hint, *left]).strip()
            if error is failure:
                raise
            raise error from failure


def _do(step: Step, recorder: Recorder) -> str:
    if step.done():
        return "already done"
    recorder.step_began(step.name)
    step.do()
    recorder.step_ended(step.name, "done")
    return "done"


def _as_error(failure: BaseException, step: Step) -> SelfhostError:
    if isinstance(failure, SelfhostError):
        return failure
    if isinstance(failure, KeyboardInterrupt):
        return Stopped(f"Stopped by you at the step {step.name}.")
    return SelfhostError(
        f"The step {step.name} failed in a way that was not foreseen "
        f"({type(failure).__name__}: {failure})."
    )


def _undo(steps: Sequence[Step], observer: Observer) -> list[str]:
    """Undoes ``steps`` in reverse order; a sentence for each that could not be undone."""
    left: list[str] = []
    for step in reversed(steps):
        try:
            step.undo()
        except SelfhostError as error:
            observer.warning(f"could not undo {step.name}: {error.message}")
            left.append(f"What {step.name} made is left in place: {error.message}")
        except KeyboardInterrupt:
            observer.warning(
                "stopped a second time: the rest is left as it is; a node whose component was "
                "being switched puts its static pod back by itself"
            )
            return [*left, f"{step.name} and the steps before it were not undone."]
    return left


def _record_failure(recorder: Recorder, step: Step, error: SelfhostError) -> None:
    # The journal explains a run; it must never hide the reason for which the run ended.
    with suppress(SelfhostError, KeyboardInterrupt):
        recorder.step_ended(step.name, "failed", error.message)
