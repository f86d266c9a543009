"""What an upgrade looks at, as data: which version runs where, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version

ETCD, KUBELET, KUBE_PROXY, COREDNS = "etcd", "kubelet", "kube-proxy", "CoreDNS"
APISERVER, CONTROLLER_MANAGER, SCHEDULER = (component.name for component in COMPONENTS)
#: In the order in which they are upgraded.
EVERY = (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBE_PROXY, COREDNS, KUBELET)


@dataclass(frozen=True)
class Running:
    """A component that runs on a node. ``version`` is None if nothing tells it, ``image`` is empty
    for a kubelet.
    """

    component: str
    node: str
    version: Version | None
    image: str = ""


@dataclass(frozen=True)
class Finding:
    """A fact that a person should know before an upgrade.

    ``what`` is the subject, ``node`` its nodes (empty: the whole cluster), ``value`` what was found,
    ``remedy`` what to do (empty: nothing). ``blocks``: an upgrade would break something, so it does
    not begin.
    """

    what: str
    value: str
    blocks: bool = False
    remedy: str = ""
    node: str = ""

    def __str__(self) -> str:
        where = f" on {self.node}" if self.node else ""
        return " ".join(filter(None, (f"{self.what}{where}: {self.value}.", self.remedy)))


def refused(one: Running, value: str, remedy: str) -> Finding:
    """Return the finding that ``one``, as it runs now, does not allow the upgrade."""
    return Finding(one.component, value, blocks=True, remedy=remedy, node=one.node)


def together(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings, with one for all nodes on which the same was found."""
    nodes: dict[Finding, list[str]] = {}
    for one in found:
        nodes.setdefault(replace(one, node=""), []).append(one.node)
    return [
        replace(one, node=", ".join(dict.fromkeys(filter(None, there))))
        for one, there in nodes.items()
    ]


@dataclass(frozen=True)
class Findings:
    """All that was found. ``target`` is None if nobody named a version. ``offers`` are the targets
    whose images are on every control-plane node, the nearest first. ``newest`` is the newest API
    server's version. ``options`` are those of the command that lead to the target.
    """

    running: Sequence[Running]
    found: Sequence[Finding] = ()
    target: Target | None = None
    offers: Sequence[Target] = ()
    newest: Version | None = None
    options: Sequence[str] = ()

    @property
    def blocking(self) -> list[Finding]:
        """Return what has to be done before an upgrade can begin."""
        return [one for one in self.found if one.blocks]

    @property
    def told(self) -> list[Finding]:
        """Return what a person should only know."""
        return [one for one in self.found if not one.blocks]

    @property
    def know(self) -> list[str]:
        """Return what a person should know, in sentences for a plan."""
        return [str(one) for one in self.told]

    def of(self, component: str) -> list[Running]:
        """Return where the component runs, in the nodes' order."""
        return [one for one in self.running if one.component == component]
