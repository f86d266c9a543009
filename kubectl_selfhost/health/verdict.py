"""The verdict on a control plane's state: a word, a sentence, and the next command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.instance import DAEMONSET, STATIC
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.health.certificates import Expiry
from kubectl_selfhost.health.notices import PIVOT, WATCH, Notice, commands, notices
from kubectl_selfhost.health.state import ControlPlane
from kubectl_selfhost.health.troubles import Trouble, ending_soon, troubles
from kubectl_selfhost.health.unfinished import unfinished

#: The states. These words are part of ``-o json``: never change a word.
RUN_IN_PROGRESS = "run-in-progress"
DEGRADED = "degraded"
PARTLY_PIVOTED = "partly-pivoted"
STATIC_PODS = "static"
SELF_HOSTED = "self-hosted"
UNKNOWN = "unknown"

#: The verbs that change something. Each first settles the leftovers of an earlier run.
_VERBS = ("pivot", "revert", "rollout", "sync", "credentials renew", "credentials status")
_TO_A_VERSION = ("upgrade", "upgrade --back")


@dataclass(frozen=True)
class Verdict:
    """The verdict: ``state`` is one of the words above. ``next`` is a command, or empty; ``then`` are
    the commands to run after ``next``.

    ``healthy`` is True if an instance serves every component and no run left anything unfinished,
    whether the control plane is static or self-hosted.
    """

    state: str
    message: str
    next: str = ""
    healthy: bool = False
    troubles: list[Trouble] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    then: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Survey:
    """The look at a cluster, ``taken`` at a time of this machine's clock.

    ``unread`` has what could not be read, and why. ``essential`` names what a verdict needs, in the
    words of ``unread``.
    """

    context: str
    server: str
    version: str
    taken: datetime
    control_plane: ControlPlane
    certificates: Sequence[Expiry] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    essential: Sequence[str] = ()

    @property
    def notices(self) -> list[Notice]:
        """Return what may soon become a trouble, and what could not be read."""
        return notices(
            self.control_plane,
            certificates=self.certificates,
            taken=self.taken,
            unread=self.unread,
        )

    @property
    def verdict(self) -> Verdict:
        """Return the verdict with the next commands, including the commands of the notices."""
        missing = [what for what in self.essential if what in self.unread]
        late = ending_soon(self.certificates, self.control_plane, self.taken)
        return _with(judge(self.control_plane, unread=missing, more=late), commands(self.notices))


def _with(verdict: Verdict, more: Sequence[str]) -> Verdict:
    """Return the verdict with the commands of the notices after its own command."""
    # A pivot is optional, so the commands of warnings come first.
    own = [verdict.next] if verdict.next else []
    todo = [*more, *own] if verdict.state == STATIC_PODS else [*own, *more]
    todo = list(dict.fromkeys(todo))
    return replace(verdict, next=todo[0] if todo else "", then=todo[1:])


def judge(
    seen: ControlPlane, *, unread: Sequence[str] = (), more: Sequence[Trouble] = ()
) -> Verdict:
    """Return the verdict on ``seen``. ``unread`` is what could not be read: then the verdict stays
    open. ``more`` are troubles that the control plane's objects do not show.
    """
    found, left = [*troubles(seen), *more], unfinished(seen)

    def verdict(state: str, message: str, next_: str = "", *, healthy: bool = False) -> Verdict:
        return Verdict(state, message, next_, healthy, found, left)

    run = seen.run_going_on
    if run is not None:
        return verdict(RUN_IN_PROGRESS, f"a run is in progress, by {run.holder}", WATCH)
    if not seen.nodes or all(node.empty for node in seen.nodes):
        return _nothing_seen(seen, unread)
    if found:
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        # The next run settles leftovers. Any other trouble needs a person.
        next_ = _again(seen) if left else found[0].look
        return verdict(DEGRADED, f"degraded: {found[0].what}{others}", next_)
    if unread:
        return verdict(UNKNOWN, f"{' and '.join(unread)} could not be read, so the rest is unknown")
    kinds = {seen.serves(component, node) for node in seen.running for component in COMPONENTS}
    nodes = f"{len(seen.running)} node" + ("s" if len(seen.running) > 1 else "")
    if kinds == {DAEMONSET} and not left:
        return verdict(SELF_HOSTED, f"self-hosted on {nodes}, healthy", healthy=True)
    if kinds == {STATIC} and not left:
        message = f"static pods on {nodes}, healthy; not self-hosted"
        return verdict(STATIC_PODS, message, PIVOT, healthy=True)
    return verdict(PARTLY_PIVOTED, _how_far(seen), _again(seen))


def _again(seen: ControlPlane) -> str:
    """Return the command that continues the last run: each verb settles leftovers."""
    last = seen.last_run or {}
    stopped = last.get("outcome") != "done" and _is_verb(last.get("verb"))
    return f"kubectl selfhost {last['verb']}" if stopped else PIVOT


def _is_verb(text: object) -> bool:
    """Return whether a journal's text is a command: whoever may write ConfigMaps can have written it."""
    verb, _, version = str(text).rpartition(" ")
    return text in _VERBS or (verb in _TO_A_VERSION and Version.parse(version) is not None)


def _nothing_seen(seen: ControlPlane, unread: Sequence[str]) -> Verdict:
    if unread:
        return Verdict(UNKNOWN, "the control plane could not be read")
    where = (
        f"no kubeadm control plane on {', '.join(node.name for node in seen.nodes)}"
        if seen.nodes
        else "no control-plane node found"
    )
    return Verdict(UNKNOWN, f"{where}: kubectl selfhost is for control planes that kubeadm made")


def _how_far(seen: ControlPlane) -> str:
    cells = [(component, node) for node in seen.running for component in COMPONENTS]
    done = sum(seen.self_hosted(component, node) for component, node in cells)
    if done == len(cells):
        return "self-hosted, but an earlier run left something unfinished"
    if done == 0:
        return "static pods serve, but an earlier run left something unfinished"
    return f"partly pivoted: {done} of {len(cells)} components are self-hosted"
