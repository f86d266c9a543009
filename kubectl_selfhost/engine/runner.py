"""The run of a plan, which leaves a working control plane behind whatever happens.

A failed step, or a person's Ctrl-C, ends the run: the steps on the current node are undone in reverse
order, if nothing uses their results. Earlier nodes stay done. The state of the cluster decides how a
step is undone, not the memory of the run. So the same code cleans up after a killed run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.step import Plan, Step, nothing
from kubectl_selfhost.errors import SelfhostError


class Observer(Protocol):
    """The listener to a run while it happens. Times are in seconds."""

    def run_started(self, plan_title: str, steps: int) -> None: ...
    def step_started(self, number: int, name: str, title: str) -> None: ...
    def step_waiting(self, why: str) -> None: ...
    def step_done(self, seconds: float, outcome: str) -> None: ...
    def step_failed(self, seconds: float, message: str) -> None: ...
    def note(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...


class Recorder(Protocol):
    """The record of what was done (the journal)."""

    def step_began(self, name: str) -> None: ...
    def step_ended(self, name: str, outcome: str, message: str = "") -> None: ...


class Stopped(SelfhostError):
    """The person pressed Ctrl-C, or a signal told the process to end."""


def run(
    plan: Plan,
    *,
    observer: Observer,
    recorder: Recorder,
    before_each: Callable[[], None] = nothing,
) -> None:
    """Do the steps of ``plan`` that are not done yet, in order; ``before_each`` may raise to stop.

    After the undoing, raise Stopped or the SelfhostError that ended the run; the error's hint says
    what could not be undone. A bug in a step also ends the run with a SelfhostError. A run that has
    lost its Lease undoes nothing: by then the results of its steps belong to another run.
    """
    observer.run_started(plan.title, len(plan.steps))
    for number, step in enumerate(plan.steps, 1):
        began = time.monotonic()
        try:  # Ctrl-C may come at any moment, so all parts of a step are inside
            observer.step_started(number, step.name, step.title)
            before_each()
            outcome = _do(step, recorder)
            observer.step_done(time.monotonic() - began, outcome)
        except BaseException as failure:
            error = _as_error(failure, step)
            begun = _unfinished(plan.steps, number)
            left = _end(begun, error, observer, recorder, time.monotonic() - began)
            if left:
                error.hint = " ".join([error.hint, *left]).strip()
            if error is failure:
                raise
            raise error from failure


def _unfinished(steps: list[Step], number: int) -> list[Step]:
    """Return the first ``number`` steps, the last of which has failed, without those of other nodes
    that are done: a node with a step to come was only prepared.
    """
    here, prepared = steps[number - 1].node, {one.node for one in steps[number:]} - {""}
    return [one for one in steps[:number] if one.node == here or one.node in prepared]


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
        f"The step {step.name} failed with an unexpected error ({_named(failure)})."
    )


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _end(
    begun: list[Step],
    error: SelfhostError,
    observer: Observer,
    recorder: Recorder,
    seconds: float,
) -> list[str]:
    """Undo the steps that were ``begun``, of which the last one has failed with ``error``.

    Return a sentence for each step that could not be undone. Neither a second Ctrl-C nor another
    fault during the undoing hides ``error``, which ended the run.
    """
    failed = begun[-1].name
    left: list[str] = []
    try:
        _tell(observer.step_failed, seconds, error.message)
        if isinstance(error, LeaseLost):
            return []
        while begun:
            left += _undo(begun, observer)
    except KeyboardInterrupt:
        _tell(observer.warning, _STOPPED_AGAIN)
        if begun:
            left.append(f"{begun[-1].name} and the steps before it were not undone.")
    # The journal explains a run; it must never hide the reason for which the run ended.
    with suppress(Exception, KeyboardInterrupt):
        recorder.step_ended(failed, "failed", error.message)
    return left


_STOPPED_AGAIN = (
    "stopped a second time: the other steps are not undone; if a component was being switched, the "
    "node itself puts the static pod back"
)


def _tell(teller: Callable[..., None], *words: object) -> None:
    """Tell a person something. If the terminal is gone, the undoing continues."""
    with suppress(Exception):
        teller(*words)


def _undo(begun: list[Step], observer: Observer) -> list[str]:
    """Undo the last of the steps, and remove it from the list.

    A fault of any kind doesn't prevent the other undoings. But if the Lease is lost, the run may
    change nothing more.
    """
    name = begun[-1].name
    left = []
    try:
        begun[-1].undo()
    except LeaseLost as lost:
        _tell(observer.warning, f"nothing more is undone: {lost.message}")
        begun.clear()
        return [f"{name} and the steps before it were not undone: {lost.message}"]
    except Exception as error:
        why = error.message if isinstance(error, SelfhostError) else _named(error)
        _tell(observer.warning, f"could not undo {name}: {why}")
        left.append(f"What {name} made stays in place: {why}")
    begun.pop()
    return left
