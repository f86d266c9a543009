"""The ways in which a port can go from one instance to the next, and which of them is possible.

- ``seamless``: the old instance's port is shared from outside, and the node agent's steward decides
  who gets each new connection: the old instance until the new one is Ready as itself, then the new
  one. Nobody sees it.
- ``shared``: the port is shared, and the kernel gives each of the two a part of the connections. For
  the controller-manager and the scheduler, which nobody calls from outside, that is as good.
- ``waiting``: the new instance waits until the old one has let go of the port. The gap is one start
  of the component.

What the API tells of a node is enough for a plan; the agent looks again on the node itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kubectl_selfhost.controlplane import staticpod
from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.errors import SelfhostError

AUTO = "auto"
SEAMLESS = "seamless"
SHARED = "shared"
WAITING = "waiting"

#: From the worst to the best.
WAYS = (WAITING, SHARED, SEAMLESS)

#: pidfd_getfd(2) takes a socket out of another process, since Linux 5.6.
_OLDEST_KERNEL = (5, 6)

_WORDS = {
    SEAMLESS: "both share the port, and the agent steers each connection to the one that serves",
    SHARED: "both share the port, and the kernel gives each a part of the connections",
    WAITING: "the new instance waits until the old one has let go of the port",
}


_LEADERLESS = {
    CONTROLLER_MANAGER: "controllers, for up to 3 s",
    SCHEDULER: "scheduling, for up to 3 s",
}
#: What clients miss meanwhile, by way and component; nothing where there is no word.
UNAVAILABLE = {
    SEAMLESS: _LEADERLESS,
    SHARED: {
        APISERVER: "some requests, in the new apiserver's first second (they get a 403)",
        **_LEADERLESS,
    },
    WAITING: {
        APISERVER: "the API, for one start of the apiserver (1 to 2 s on a fast machine)",
        CONTROLLER_MANAGER: "controllers, for one start of the controller-manager",
        SCHEDULER: "scheduling, for one start of the scheduler",
    },
}


@dataclass(frozen=True)
class Choice:
    """A way, and why it isn't a better one (empty for the best that makes sense)."""

    way: str
    why: str = ""

    def __str__(self) -> str:
        because = f"; {self.why}" if self.why else ""
        return f"{self.way} ({_WORDS[self.way]}{because})"


def best(component: Component, *, kernel: str, bind_address: str) -> Choice:
    """The best way for ``component`` on a node, as far as that can be told from afar.

    ``kernel`` is the node's kernel version (status.nodeInfo.kernelVersion), ``bind_address`` the
    address on which the component listens.
    """
    found = re.match(r"(\d+)\.(\d+)", kernel)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < _OLDEST_KERNEL:
        return Choice(WAITING, f"the node's kernel {kernel} can't share another's socket, 5.6 can")
    if component != APISERVER:
        return Choice(SHARED)
    if not staticpod.is_wildcard(bind_address):
        return Choice(
            SHARED,
            f"with --bind-address={bind_address} its calls to itself can't be told from others",
        )
    return Choice(SEAMLESS)


def choose(component: Component, possible: Choice, wanted: str) -> Choice:
    """The way to go: ``wanted``, or the best one that is ``possible`` if that is AUTO.

    Raises SelfhostError where the wanted way can't be gone. For a component that nobody calls from
    outside, SEAMLESS is SHARED.
    """
    if wanted == AUTO:
        return possible
    if wanted == SEAMLESS and component != APISERVER:
        wanted = SHARED
    if WAYS.index(wanted) <= WAYS.index(possible.way):
        return Choice(wanted, "" if wanted == possible.way else "asked for with --handover")
    raise SelfhostError(
        f"{component} can't change hands in the way {wanted}: {possible.why}.",
        f"--handover={possible.way} is possible, and --handover=auto chooses it by itself.",
    )


def told(choices: Mapping[str, Mapping[Component, Choice]]) -> dict[str, str]:
    """The choices of each node, for people: one line for a component that goes the same way on all."""
    lines: dict[str, str] = {}
    for component in COMPONENTS:
        by_node = {n: str(one[component]) for n, one in choices.items() if component in one}
        if len(set(by_node.values())) == 1:
            lines[component.name] = next(iter(by_node.values()))
        else:
            lines.update({f"{component}, {node}": way for node, way in by_node.items()})
    return lines


def worse(first: Choice, second: Choice) -> bool:
    """Whether the first one's way is worse than the second one's."""
    return WAYS.index(first.way) < WAYS.index(second.way)
