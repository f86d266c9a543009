"""The ways in which a port can go from one instance to the next, and which of them are possible.

- ``seamless``: the old instance's port is shared from outside, and the node agent's steward decides
  who gets each new connection: the old instance until the new one is Ready as itself, then the new
  one. Clients notice nothing.
- ``steered``: the same on a kernel that resets connections that are just being opened when a server
  closes its port.
- ``shared``: the port is shared, and the kernel gives each of the two a part of the connections. For
  the controller-manager and the scheduler, which nobody calls from outside, that is as good.
- ``waiting``: the new instance waits until the old one has let go of the port. The gap is one start
  of the component.

For a plan, what the API tells of a node is enough; the agent looks again on the node itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import beside, pace, readiness
from kubectl_selfhost.errors import SelfhostError

AUTO = "auto"
SEAMLESS = "seamless"
STEERED = "steered"
SHARED = "shared"
WAITING = "waiting"

#: From the worst to the best.
WAYS = (WAITING, SHARED, STEERED, SEAMLESS)

#: pidfd_getfd(2) takes a socket out of another process, since Linux 5.6.
_OLDEST_KERNEL = (5, 6)
#: tcp_migrate_req: connections in the queue of a listener that closes go to another listener of its
#: group. The sysctl alone proves nothing: Debian's 5.10 has the file and not the mechanism.
_MIGRATING_KERNEL = (5, 14)

_STEERS = "both share the port, and the agent steers each connection to the instance that serves"

_WORDS = {
    SEAMLESS: _STEERS,
    STEERED: _STEERS,
    SHARED: "both share the port, and the kernel gives each instance a part of the connections",
    WAITING: "the new instance waits until the old instance has released the port",
}


#: The work that stands still while nobody leads.
_WORK = {CONTROLLER_MANAGER: "controllers", SCHEDULER: "scheduling"}
#: Seconds in which the API server chooses a leader by itself: the lease runs out (15), and its
#: controller asks the candidates (5) and looks again (5) (Kubernetes 1.31 to 1.37: leaderelection of
#: pkg/controlplane/controller).
_COORDINATED = 30


@dataclass(frozen=True)
class Choice:
    """A way, and why it isn't a better one (empty for the best way that makes sense).

    ``at_most`` is the best way that a person may ask for, if it is better than ``way``.
    """

    way: str
    why: str = ""
    at_most: str = field(default="", compare=False)

    @property
    def is_steered(self) -> bool:
        """Return whether the agent decides who gets a connection."""
        return self.way in (STEERED, SEAMLESS)

    def __str__(self) -> str:
        because = f"; {self.why}" if self.why else ""
        return f"{self.way} ({_WORDS[self.way]}{because})"


def best(component: Component, pod: dict, *, kernel: str) -> Choice:
    """Return the best way from ``pod``, a static pod of ``component``, as far as the API tells.

    ``kernel`` is the node's kernel version (status.nodeInfo.kernelVersion).
    """
    too_old = _kernel_problem(kernel)
    if too_old:
        return Choice(WAITING, too_old)
    alone = beside.one_at_a_time(component, pod)
    if alone:
        return Choice(WAITING, alone)
    doubt = readiness.doubt(pod) if component == APISERVER else ""
    if doubt:
        return Choice(WAITING, doubt, at_most=SHARED)
    return _best_beside(component, pod, kernel)


def best_of_ours(component: Component, pod: dict, *, kernel: str) -> Choice:
    """Return the best way from a DaemonSet's ``pod``: the pod shares its port by itself, unless no
    second one may be beside it.
    """
    alone = beside.one_at_a_time(component, pod)
    if alone:
        return Choice(WAITING, alone)
    too_old = _kernel_problem(kernel)
    return Choice(SHARED, too_old) if too_old else _best_beside(component, pod, kernel)


def _version(kernel: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _kernel_problem(kernel: str) -> str:
    if _version(kernel) >= _OLDEST_KERNEL:
        return ""
    return f"the node's kernel {kernel} can't share another process's socket, Linux 5.6 can"


def _best_beside(component: Component, pod: dict, kernel: str) -> Choice:
    if component != APISERVER:
        return Choice(SHARED)
    bound = staticpod.bind_address(pod, component)
    if not staticpod.is_wildcard(bound):
        return Choice(
            SHARED, f"with --bind-address={bound} its calls to itself look like calls of others"
        )
    if _version(kernel) < _MIGRATING_KERNEL:
        return Choice(
            STEERED,
            f"the node's kernel {kernel} resets connections that are just being opened when a server "
            "closes its port, Linux 5.14 does not",
        )
    return Choice(SEAMLESS)


def choose(component: Component, possible: Choice, wanted: str) -> Choice:
    """Return the way to go: ``wanted``, or for AUTO the best way that is ``possible``.

    Raise SelfhostError if the wanted way is not possible. For a component that nobody calls from
    outside, SEAMLESS and STEERED are SHARED.
    """
    if wanted == AUTO:
        return possible
    if wanted in (STEERED, SEAMLESS) and component != APISERVER:
        wanted = SHARED
    if wanted == possible.way:
        return possible
    if WAYS.index(wanted) <= WAYS.index(possible.at_most or possible.way):
        return Choice(wanted, "asked for with --handover")
    raise SelfhostError(
        f"{component} can't change hands in the way {wanted}: {possible.why}.",
        f"Use --handover={possible.way}, or --handover=auto, which chooses the best way.",
    )


def unavailable(component: Component, way: str, pod: dict) -> str:
    """Return what clients miss while ``component`` goes this way from ``pod``; empty for nothing."""
    if component == APISERVER:
        return _without_api(way, pod)
    work, retry = _WORK[component], pace.longest_retry(component, pod)
    if pace.uses_coordinated_election(pod):
        return f"{work}, for up to {_COORDINATED} s (the API server itself chooses the next leader)"
    if way != WAITING:
        return f"{work}, for up to {math.ceil(retry)} s"
    start = f"{work}, for one start of the {component.name.removeprefix('kube-')}"
    if retry <= _ORDINARY_RETRY:
        return start
    return f"{start}; for up to {retry:g} s if the new instance asks for the lease too early"


#: Seconds: the longest retry by Kubernetes' own default, which a plan doesn't mention.
_ORDINARY_RETRY = 5.0


def _without_api(way: str, pod: dict) -> str:
    if way == SHARED:
        return "some requests, in the new API server's first second (they get a 403)"
    if way == SEAMLESS:
        return ""
    if way == STEERED:
        return "a few connections that are just being opened (the kernel resets them)"
    lingers = pace.listens_on(APISERVER, pod)
    later = f", {lingers:g} s after the old API server was told to end" if lingers else ""
    return (
        f"the API, for one start of the API server (1 to 2 s on a fast machine){later}; before it is "
        "ready, it answers some requests with a 403"
    )


def told(choices: Mapping[str, Mapping[Component, Choice]]) -> dict[str, str]:
    """Return the choices of each node, for people: one line for a component that goes the same way
    on all.
    """
    lines: dict[str, str] = {}
    for component in COMPONENTS:
        by_node = {n: str(one[component]) for n, one in choices.items() if component in one}
        if len(set(by_node.values())) == 1:
            lines[component.name] = next(iter(by_node.values()))
        else:
            lines.update({f"{component}, {node}": way for node, way in by_node.items()})
    return lines


def worse(first: Choice, second: Choice) -> bool:
    """Return whether the first way is worse than the second."""
    return WAYS.index(first.way) < WAYS.index(second.way)
