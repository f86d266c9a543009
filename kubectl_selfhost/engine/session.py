"""The run of a plan with its journal, its probe of the API, and its report."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.lease_errors import LeaseLost
from kubectl_selfhost.engine.runner import Observer, Stopped, run
from kubectl_selfhost.engine.step import Plan
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import PROBE
from kubectl_selfhost.probe import prober as probers
from kubectl_selfhost.probe.prober import Prober
from kubectl_selfhost.probe.sightings import ProbeReport

W = TypeVar("W")


@dataclass(frozen=True)
class Prepared(Generic[W]):
    """A run that is prepared and may begin.

    ``whole`` is the object from which the plan is made. ``timeout`` is for how many seconds the API
    may be away. ``again`` is the verb to run after a failure, if it is another verb.
    ``leaves_nothing``: the run removes everything that kubectl selfhost made, including the journal.
    """

    verb: str
    whole: W
    plan: Plan
    journal: Journal
    timeout: float
    again: str = ""
    leaves_nothing: bool = False


def carry_out(
    cluster: Cluster,
    prepared: Prepared[W],
    *,
    observer: Observer,
    still_ours: Callable[[], None],
) -> ProbeReport:
    """Run the plan, probe the API meanwhile, and write the journal.

    ``still_ours`` is called before each step, and raises if another run has taken over. Raise the
    SelfhostError that ended the run, after the undoing.
    """
    journal = prepared.journal
    journal.open(verb=prepared.verb, by=identity())
    with (
        cluster.waiting(prepared.timeout, on_outage=observer.note),
        # Only one run is in progress at a time: the next run takes over what a killed run has left.
        probers.Prober(cluster, kinds=probers.WHILE_RUNNING, name=f"{PROBE}-run") as prober,
    ):
        try:
            recorder = _Marking(journal, prober, prepared.plan)
            run(prepared.plan, observer=observer, recorder=recorder, before_each=still_ours)
        except LeaseLost:
            raise  # by now the journal belongs to another run
        except SelfhostError as error:
            outcome = "stopped" if isinstance(error, Stopped) else "failed"
            _close(journal, outcome, error.message, prober)
            error.hint = error.hint or _hint(outcome, prepared.again or prepared.verb)
            raise
        except BaseException as error:  # the journal must never show an ended run as open
            _close(journal, "failed", type(error).__name__, prober)
            raise
        probe = prober.report()
    journal.close("done", probe=probe.facts())
    if prepared.leaves_nothing:
        with cluster.waiting(prepared.timeout):
            journal.remove()
    return probe


class _Marking:
    """The journal, which also marks each hand-over in the probe: so the report has a row for what
    clients saw before, during and after each hand-over.
    """

    def __init__(self, journal: Journal, prober: Prober, plan: Plan) -> None:
        self._journal = journal
        self._prober = prober
        changing = [step.name for step in plan.steps if step.name.startswith(_CHANGING_HANDS)]
        self._next = dict(zip(changing, [*changing[1:], ""], strict=False))
        self._label = ""

    def step_began(self, name: str) -> None:
        if name.startswith(_CHANGING_HANDS):
            self._mark(_subject(name))
        self._journal.step_began(name)

    def step_ended(self, name: str, outcome: str, message: str = "") -> None:
        self._journal.step_ended(name, outcome, message)
        if name not in self._next:
            return
        following = self._next[name]
        if not following:
            self._mark("after")
        elif _subject(following) != _subject(name):
            self._mark("in between")

    def _mark(self, label: str) -> None:
        if label != self._label:
            self._label = label
            self._prober.mark(label)


def _subject(step: str) -> str:
    """Return what changes hands: the component if there is one node, the node if there are several."""
    return step.rpartition("/")[2]


#: The first part of the names of hand-over steps.
_CHANGING_HANDS = ("hand-over/", "roll-out/")


def identity() -> str:
    """Return the user and the host of this run, for the Lease and the journal."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _hint(outcome: str, verb: str) -> str:
    before = "To continue" if outcome == "stopped" else "Fix the cause, then"
    return (
        "Unused changes were rolled back; `kubectl selfhost status` shows the present state. "
        f"{before}{',' if outcome == 'stopped' else ''} run `kubectl selfhost {verb}` again."
    )


def _close(journal: Journal, outcome: str, message: str, prober: Prober) -> None:
    # A fault of the journal must never hide the reason for which the run ended.
    with suppress(Exception, KeyboardInterrupt):
        journal.close(outcome, message=message, probe=prober.report().facts())
