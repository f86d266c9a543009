"""A step is data: what, why, and how to recognize that it is done, how to do it, how to undo it.

A single list of steps makes the plan that people read, the dry run, the run, its progress, the
continuation after an interruption, and the undoing after a failure. So a step contains all words that
explain it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


def nothing() -> None:
    """Do nothing: the step leaves nothing to undo."""


def looks_itself() -> bool:
    """Return False, as the ``done`` of a step that waits: the wait itself ends after one look."""
    return False


def needed_again() -> bool:
    """Return False, as the ``done`` of a step whose result this run itself needs: an agent that
    answers, or the content of the node. The results of an earlier run ended with that run.
    """
    return False


def unknown() -> bool:
    """Return False, as the ``done`` of a step whose result only the node shows, and that may run
    twice: the second time changes nothing.
    """
    return False


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    ``name`` is stable (people search for it, and the journal keeps it). ``done`` looks at the cluster,
    not at the journal, so a step that a person did by hand counts as done. ``do`` may be called after
    an earlier run did a part of the step. ``undo`` is called after a failure of this step or of a
    later step on the same node; it removes only what nothing uses. ``unavailable`` is what clients
    miss. ``node`` is the node of the step; it is empty for a step of the whole cluster.
    """

    name: str
    title: str
    why: str
    done: Callable[[], bool]
    do: Callable[[], None]
    undo: Callable[[], None] = nothing
    unavailable: str = ""
    node: str = ""


Says = tuple[str, list[dict[str, object]], dict[str, str], list[str]]


@dataclass(frozen=True)
class Plan:
    """The steps in their order, with what a person should know before the run."""

    title: str
    steps: list[Step]
    facts: dict[str, str] = field(default_factory=dict)
    know: list[str] = field(default_factory=list)

    def says(self) -> Says:
        """Return all that a person reads of the plan, to compare it with another plan."""
        return self.title, self.as_rows(), self.facts, self.know

    def as_rows(self) -> list[dict[str, object]]:
        """Return the steps as plain data, for the printed plan and for ``-o json``."""
        return [
            {
                "number": number,
                "name": step.name,
                "node": step.node or None,
                "title": step.title,
                "why": step.why,
                "unavailable": step.unavailable or None,
            }
            for number, step in enumerate(self.steps, 1)
        ]


@dataclass(frozen=True)
class Outcome:
    """What a person reads once the steps are done: one sentence, what to know from now on, and the
    lines of commands that only a person can run.
    """

    title: str
    know: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
