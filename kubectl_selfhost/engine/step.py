"""A step is data: what, why, how to tell that it is done, how to do it, how to undo it.

From one list of steps come the plan that people read, the dry run, the run, its progress, the
resume after an interruption and the way back after a failure. So all words that explain a step are
in the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


def nothing() -> None:
    """Undo a step that leaves nothing behind: do nothing."""


def looks_itself() -> bool:
    """Return False, as the ``done`` of a step that waits: one look is all that the step costs."""
    return False


def needed_again() -> bool:
    """Return False, as the ``done`` of a step whose result this run itself needs: an agent that
    answers, what is on the node. What a former run knew is gone with it.
    """
    return False


def unknown() -> bool:
    """Return False, as the ``done`` of a step of which only the node could tell, and that can be
    done twice: the second time changes nothing.
    """
    return False


def asked_for() -> bool:
    """Return False, as the ``done`` of a step that a person asks for anew each time, as new pods
    from a roll-out.
    """
    return False


@dataclass(frozen=True)
class Step:
    """One step of a plan.

    ``name`` is stable (people grep for it, the journal keeps it). ``done`` looks at the cluster,
    not at the journal, so a step that somebody did by hand counts as done. ``do`` may be called
    when a former run did half of the step. ``undo`` is called after a failure of this step or of a
    later step on the same node; it removes only what nothing uses by then. ``unavailable``: what
    clients miss. ``node``: the node on which the step is done, empty for a step of the whole
    cluster.
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
    """The steps in their order, with what a person should know before saying yes."""

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
    """What a person reads once the steps are done: one sentence, and what to know from now on."""

    title: str
    know: list[str] = field(default_factory=list)
