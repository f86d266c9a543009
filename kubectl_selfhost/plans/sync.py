"""``sync``: make the guardian and the recovery copies match what runs now.

``sync`` is for a control plane that was pivoted without a guardian or by an earlier version, whose
DaemonSets were changed with kubectl, or whose files on the node were lost.
"""

from __future__ import annotations

from dataclasses import replace

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane import program as programs
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.engine.step import Plan
from kubectl_selfhost.node import binaries
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.rollout.prepare import look
from kubectl_selfhost.plans.rollout.steps import RolloutSteps
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import read_situation
from kubectl_selfhost.reboot import on_node


def prepare(cluster: Cluster, *, timeout: float, observer: Observer) -> Prepared[Rollout]:
    """Make the plan for all components that are self-hosted; change nothing.

    ``timeout`` is each wait's limit in seconds. Raise SelfhostError if one of them isn't settled: a
    copy is made of what was seen to serve.
    """
    daemonsets = read_situation(cluster).daemonsets
    options = RolloutOptions(
        components=tuple(c for c in COMPONENTS if c.groups_in(daemonsets)), timeout=timeout
    )
    rollout = look(cluster, options, observer=observer)
    journal = Journal(cluster, warn=observer.warning)
    plan = _plan(cluster, rollout, observer, journal)
    return Prepared("sync", rollout, plan, journal, timeout)


def _plan(cluster: Cluster, rollout: Rollout, observer: Observer, journal: Journal) -> Plan:
    made = [RolloutSteps(cluster, one, observer, journal) for one in rollout.nodes]
    return Plan(
        title=f"Update the guardian and the recovery copies on {in_words(rollout.nodes)}",
        steps=[
            replace(step, node=one.node)
            for one, own in zip(rollout.nodes, made, strict=True)
            for step in (
                own.program(),
                own.inspect(),
                own.guardian({c: rollout.before(c) for c in one.components()}),
                own.end_agent(),
            )
        ],
        facts=as_fact(rollout.nodes),
        know=[
            "The command changes no component.",
            *on_node.tell_uncopied(
                {component: rollout.before(component) for component in rollout.components()}
            ),
            *_other_programs(rollout),
        ],
    )


def _other_programs(rollout: Rollout) -> list[str]:
    """Return which DaemonSets keep another build's program: a new program takes new pods."""
    ours = {binaries.secret_name(one.target.arch) for one in rollout.nodes}
    named = {c.daemonset: programs.reference(rollout.before(c)) for c in rollout.components()}
    others = [name for name, found in named.items() if found and found.name not in ours]
    if not others:
        return []
    return [
        f"{', '.join(others)}: the pods keep the program of another build; `kubectl selfhost "
        "rollout` gives them this build's program."
    ]
