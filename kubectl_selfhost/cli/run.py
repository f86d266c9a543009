"""The one way of a verb that changes something: look, plan, show, ask, carry out.

Nothing changes before a person has said yes to a plan. One object is written before: the Lease,
which keeps other runs away while the person reads. A run that ends without a yes deletes the Lease
again, if it was not there. A dry run doesn't take the Lease.

A plan of its own settles what an earlier run left; it is shown first. The verb's plan is shown
under it if it can be made by then. Afterwards the cluster is read again and the verb's plan is made
again: if the new plan differs from the one that was shown, it is shown, and asked about.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kubectl_selfhost.cli import pages
from kubectl_selfhost.errors import SelfhostError

if TYPE_CHECKING:
    from kubectl_selfhost.cluster.client import Cluster
    from kubectl_selfhost.engine.lease import RunLease
    from kubectl_selfhost.engine.session import Prepared
    from kubectl_selfhost.engine.step import Outcome, Plan, Says
    from kubectl_selfhost.handover.handover import HandOver
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.leftovers.look import Leftovers
    from kubectl_selfhost.plans.shared.situation import Situation
    from kubectl_selfhost.probe.sightings import ProbeReport


W = TypeVar("W", bound="Whole")


class Whole(Protocol):
    """What a verb's plan is made of, and what a person reads and gets of it."""

    @property
    def handovers(self) -> Sequence[HandOver[Any]]: ...

    def outcome(self) -> Outcome: ...

    def manifests(self) -> list[dict]: ...


@dataclass(frozen=True)
class Verb(Generic[W]):
    """A verb that changes something.

    ``nothing_to_do`` returns the sentence that says so, empty where there is something. ``prepare``
    looks and plans, and changes nothing. ``timeout`` is the limit of each wait, in seconds.
    """

    name: str
    timeout: float
    nothing_to_do: Callable[[Situation], str]
    prepare: Callable[[Progress], Prepared[W]]


@dataclass(frozen=True)
class Done(Generic[W]):
    """A run that came to its end, and what a client saw of it."""

    prepared: Prepared[W]
    probe: ProbeReport


def always_something(_: Situation) -> str:
    """Return that there is something to do, for a verb that does the same again when asked to."""
    return ""


def through(
    cluster: Cluster,
    verb: Verb[W],
    *,
    yes: bool,
    dry_run: str,
    output: str,
    manifests: Callable[[W], list[dict]] | None = None,
) -> None:
    """Run ``verb`` to its report, or show what it would do.

    ``output`` is yaml, json or name: what is applied goes to stdout as data; in a dry run,
    ``manifests`` does.
    """
    if dry_run != "none":

        def as_data(prepared: Prepared[W]) -> list[dict]:
            return manifests(prepared.whole) if manifests else prepared.whole.manifests()

        rehearse(cluster, verb, how=dry_run, output=output, manifests=as_data)
        return
    done = carry_out(cluster, verb, yes=yes)
    if done is not None:
        _report(cluster, done, output)


def _report(cluster: Cluster, done: Done[W], output: str) -> None:
    from kubectl_selfhost.handover.handover import seconds_each

    whole = done.prepared.whole
    if output:
        pages.print_manifests(whole.manifests(), output)
    pages.print_summary(
        cluster,
        whole.outcome(),
        seconds=seconds_each(whole.handovers),
        probe=done.probe,
        file=sys.stderr if output else sys.stdout,
    )


def carry_out(cluster: Cluster, verb: Verb[W], *, yes: bool) -> Done[W] | None:
    """Run ``verb``; return None if there is nothing to do."""
    from kubectl_selfhost.engine import session
    from kubectl_selfhost.plans.leftovers import look as leftovers

    left = leftovers.look(cluster)
    if not left and _said(verb, left):
        return None
    pages.require_an_answer(yes=yes)
    with _only_run(cluster, verb.timeout) as (progress, lease):
        left = leftovers.look(cluster)
        settled, shown = bool(left), None
        if left:
            shown = _settle(cluster, verb, left, progress, lease, yes=yes)
            left = leftovers.look(cluster)
        if _said(verb, left, settled=settled):
            return None
        prepared = verb.prepare(progress)
        if shown != prepared.plan.says():
            pages.print_plan(prepared.plan, file=sys.stderr)
            pages.ask(yes=yes)
        lease.discard = False
        probe = session.carry_out(cluster, prepared, observer=progress, still_ours=lease.check)
        lease.discard = prepared.leaves_nothing
    return Done(prepared, probe)


def rehearse(
    cluster: Cluster,
    verb: Verb[W],
    *,
    how: str,
    output: str,
    manifests: Callable[[Prepared[W]], list[dict]],
) -> None:
    """Show what ``verb`` would do; ``how`` is the value of --dry-run.

    With ``output`` (yaml, json, name) the ``manifests`` go to stdout, and else the plan.
    """
    from kubectl_selfhost.output.progress import Progress
    from kubectl_selfhost.plans.leftovers import look as leftovers
    from kubectl_selfhost.plans.leftovers import settle

    left = leftovers.look(cluster)
    if not left and _said(verb, left):
        return
    with Progress() as progress:
        if left:
            if left.held_by:
                pages.say(f"{left.held_by} holds the Lease: some of this may be that run's work.")
            first = settle.plan(cluster, left, timeout=verb.timeout, observer=progress)
            pages.print_plan(first, file=sys.stderr if output else sys.stdout)
        if left.hides_the_rest:
            _say_later(verb, output)
        elif not _said(verb, left, settled=True):
            prepared = verb.prepare(progress)
            made = manifests(prepared)
            if output:
                pages.print_manifests(made, output)
            else:
                pages.print_plan(prepared.plan, file=sys.stdout)
    pages.say(f"Nothing was changed (--dry-run={how}).")


def _settle(
    cluster: Cluster,
    verb: Verb[W],
    left: Leftovers,
    progress: Progress,
    lease: RunLease,
    *,
    yes: bool,
) -> Says | None:
    """Settle what is ``left``, once a person has agreed to it; return what the verb's own plan
    says, if it was shown too.
    """
    from kubectl_selfhost.plans.leftovers import settle

    first = settle.plan(cluster, left, timeout=verb.timeout, observer=progress)
    shown = _plan_already(verb, left, progress)
    pages.print_plan(first, file=sys.stderr)
    if shown is not None:
        pages.print_plan(shown, file=sys.stderr)
    elif left.hides_the_rest:
        _say_later(verb)
    pages.ask(yes=yes)
    lease.discard = False
    settle.carry_out(
        cluster,
        first,
        verb=verb.name,
        timeout=verb.timeout,
        observer=progress,
        still_ours=lease.check,
    )
    return shown.says() if shown is not None else None


def _plan_already(verb: Verb[W], left: Leftovers, progress: Progress) -> Plan | None:
    """Return the verb's plan if it can be made before ``left`` is settled."""
    if left.hides_the_rest or verb.nothing_to_do(left.situation):
        return None
    return verb.prepare(progress).plan


def _say_later(verb: Verb[W], output: str = "") -> None:
    """Say that nobody can tell yet what the verb's own plan is. Raise SelfhostError where a program
    waits for that as data."""
    if output:
        raise SelfhostError(
            f"What an earlier run left has to be settled before `{verb.name}` can be planned.",
            f"`kubectl selfhost {verb.name}` settles it, and asks before.",
        )
    pages.say(
        f"The plan of `{verb.name}` is made after that, and shown before anything else is done."
    )


def _said(verb: Verb[W], left: Leftovers, *, settled: bool = False) -> bool:
    """Print the sentence if there is nothing to do; return whether there is nothing to do."""
    sentence = verb.nothing_to_do(left.situation)
    if sentence:
        pages.say(sentence if settled else f"{sentence} Nothing was changed.")
    return bool(sentence)


@contextmanager
def _only_run(cluster: Cluster, timeout: float) -> Iterator[tuple[Progress, RunLease]]:
    """Hold the Lease, so that no other run goes on meanwhile.

    ``timeout``: for how many seconds the API may be away; another run may be switching it now.
    """
    from kubectl_selfhost.engine.lease import RunLease
    from kubectl_selfhost.engine.session import identity
    from kubectl_selfhost.output.progress import Progress

    who = f"{identity()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    with (
        Progress() as progress,
        RunLease(
            cluster.with_patience(timeout), identity=who, waiting=progress.step_waiting
        ) as lease,
        # A run that has lost the Lease sends nothing more, neither to the API nor to an agent.
        cluster.acting_while(lease.check),
    ):
        lease.discard = lease.is_new  # until somebody has said yes
        yield progress, lease
