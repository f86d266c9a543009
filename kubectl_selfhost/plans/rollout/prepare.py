"""The checks before a rollout's plan: whether every component that it changes is settled."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.controlplane.component import Component
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import program
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.shared import nodes, permissions
from kubectl_selfhost.plans.shared.situation import (
    Situation,
    at_rest,
    require_kubelet,
    require_rolled_out,
)

R = TypeVar("R", bound=Rollout)


def prepare(cluster: Cluster, options: RolloutOptions, *, observer: Observer) -> Prepared[Rollout]:
    """Look at the control plane and make the plan; change nothing.

    Raise SelfhostError if a roll-out can't begin, with what to do.
    """
    return judged("rollout", look(cluster, options, observer=observer), observer=observer)


def judged(verb: str, rollout: R, *, observer: Observer) -> Prepared[R]:
    """Return the run of ``verb`` that carries ``rollout`` out. Raise SelfhostError if the API server
    refuses a DaemonSet: it judges the change now, not half-way.
    """
    for component in rollout.components():
        rollout.cluster.replace(DAEMONSETS, rollout.after(component), dry_run=True)
    journal = Journal(rollout.cluster, warn=observer.warning)
    plan = rollout.plan(observer=observer, journal=journal)
    return Prepared(verb, rollout, plan, journal, rollout.options.timeout)


def look(cluster: Cluster, options: RolloutOptions, *, observer: Observer) -> Rollout:
    """Look as ``look_for`` does, for a roll-out and nothing more."""
    return look_for(Rollout, cluster, options, observer=observer)


def look_for(kind: type[R], cluster: Cluster, options: RolloutOptions, *, observer: Observer) -> R:
    """Return the roll-out, of ``kind``, of a settled control plane, which a recovery copy's is not:
    wait until there is no copy. Raise SelfhostError if nobody can roll out.
    """
    permissions.require(cluster)
    situation = at_rest(cluster, timeout=options.timeout, observer=observer)
    hosted = [name for name in nodes.chosen(situation) if situation.hosts(name)]
    for component in options.components:
        if not component.groups_in(situation.daemonsets):
            _refuse_static(component)
        for name in hosted:
            _require_settled(situation, situation.own(component, name))
    if not hosted:
        which = ", ".join(map(str, options.components)) or "any component"
        raise SelfhostError(
            f"No node runs a self-hosted pod of {which}.",
            "`kubectl selfhost status` shows what serves each component.",
        )
    rollout = kind(
        cluster,
        situation,
        nodes=[
            kind.part(cluster, situation, name, require_kubelet(cluster, name), options=options)
            for name in hosted
        ],
        options=options,
    )
    program.refuse_foreign(cluster, (one.target.arch for one in rollout.nodes))
    return rollout


def _require_settled(situation: Situation, component: Component) -> None:
    """Refuse a component that is changing: a roll-out changes only what stands still."""
    if component.daemonset not in situation.daemonsets:
        _refuse_static(component)
    require_rolled_out(situation.daemonsets[component.daemonset])


def _refuse_static(component: Component) -> NoReturn:
    raise SelfhostError(
        f"{component} is not self-hosted: there is no DaemonSet {component.daemonset}.",
        "Run `kubectl selfhost pivot` first; `kubectl selfhost status` shows what serves each component.",
    )
