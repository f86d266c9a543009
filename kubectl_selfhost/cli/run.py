"""The way that every changing verb takes: look, plan, show, ask, carry out.

Nothing changes before a person has agreed to a plan. One object is written before: the Lease, which
keeps other runs away while the person reads. If the person does not agree, the run deletes the
Lease again, unless the Lease existed before. A dry run doesn't take the Lease.

If an earlier run left something, a first plan settles these leftovers. The person sees this plan
first, and the verb's plan below, if the verb's plan can be made already. After the first plan the
run reads the cluster again and makes the verb's plan again. If the new plan differs from the plan
that was shown, the run shows the new plan, and asks again.
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
    """The object that a verb's plan is made from; it also gives the report and the manifests."""

    @property
    def handovers(self) -> Sequence[HandOver[Any]]: ...

    def outcome(self) -> Outcome: ...

    def manifests(self) -> list[dict]: ...


@dataclass(frozen=True)
class Verb(Generic[W]):
    """A verb that changes something.

    ``prepare`` looks and plans, and changes nothing. ``nothing_to_do`` returns a sentence if there is
    nothing to do, else an empty text; without it the verb can always do its work again. ``timeout``
    is the limit of each wait, in seconds.
    """

    name: str
    timeout: float
    prepare: Callable[[Progress], Prepared[W]]
    nothing_to_do: Callable[[Situation], str] = lambda _: ""


@dataclass(frozen=True)
class Done(Generic[W]):
    """A run that is done, and what a client saw meanwhile."""

    prepared: Prepared[W]
    probe: ProbeReport


def through(
    cluster: Cluster,
    verb: Verb[W],
    *,
    yes: bool,
    dry_run: str,
    output: str,
    manifests: Callable[[W], list[dict]] | None = None,
) -> None:
    """Run ``verb`` and print its report, or in a dry run show its plan.

    ``output`` is yaml, json or name: then the applied objects go to stdout as data; in a dry run,
    what ``manifests`` returns.
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
    """Show the plan of ``verb``; ``how`` is the value of --dry-run.

    With ``output`` (yaml, json, name) the ``manifests`` go to stdout instead of the plan.
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
                pages.say(
                    f"{left.held_by} holds the Lease: that run may still be at work on the nodes below."
                )
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
    """Ask, then settle what is ``left``. Return what the verb's own plan says, if the person saw
    that plan too.
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
    """Say that the verb's own plan follows later. Raise SelfhostError if a program asked for the
    plan's objects as data (``output``)."""
    if output:
        raise SelfhostError(
            f"`{verb.name}` can't be planned before the leftovers of an earlier run are settled.",
            f"`kubectl selfhost {verb.name}` asks, and settles them.",
        )
    pages.say(
        f"The plan of `{verb.name}` follows then: you see that plan before anything else changes."
    )


def _said(verb: Verb[W], left: Leftovers, *, settled: bool = False) -> bool:
    """Print the sentence if there is nothing to do; return whether there is nothing to do."""
    sentence = verb.nothing_to_do(left.situation)
    if sentence:
        pages.say(sentence if settled else f"{sentence} Nothing was changed.")
    return bool(sentence)


@contextmanager
def _only_run(cluster: Cluster, timeout: float) -> Iterator[tuple[Progress, RunLease]]:
    """Hold the Lease, so that no other run works at the same time.

    ``timeout``: for how many seconds the API may be away, because another run may be switching it.
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
        lease.discard = lease.is_new  # until a person has agreed
        yield progress, lease
