"""The whole look before an upgrade: versions, the target's own answers, what breaks for users."""

from __future__ import annotations

from collections.abc import Sequence

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import NODES
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.upgrade.addons import etcd_rule, kept, target_for
from kubectl_selfhost.controlplane.upgrade.findings import (
    APISERVER,
    COREDNS,
    Finding,
    Findings,
    Running,
    together,
)
from kubectl_selfhost.controlplane.upgrade.offers import offered
from kubectl_selfhost.controlplane.upgrade.skew import skew
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.harmless import harmless
from kubectl_selfhost.plans.shared import nodes
from kubectl_selfhost.plans.shared.situation import (
    Situation,
    goes_by_itself,
    require_rolled_out,
)
from kubectl_selfhost.plans.upgrade.look import objects
from kubectl_selfhost.plans.upgrade.look import servers as api_servers
from kubectl_selfhost.plans.upgrade.look.ask import ask
from kubectl_selfhost.plans.upgrade.look.programs import as_measured, programs
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions


def examine(
    cluster: Cluster, situation: Situation, options: UpgradeOptions, *, observer: Observer
) -> Findings:
    """Return all that speaks for and against an upgrade to the version in ``options``.

    Without a version only read. With a version ask the target's images, too, unless the versions
    alone forbid the upgrade: then nothing needs to be pulled.
    """
    servers = api_servers.servers(cluster, situation)
    found = as_measured(programs(situation, cluster.list(NODES)), api_servers.measured(servers))
    running = [one.running for one in found]
    newest = _newest(running)
    configuration, of_records = objects.records(cluster, newest)

    def to(version: Version) -> Target:
        return target_for(
            version, running, configuration=configuration, keep_etcd=options.keep_etcd
        )

    target = to(options.version) if options.version else None
    first = [
        *_unsettled(situation),
        *skew(running, options.version or newest, back=options.back),
        *(etcd_rule(running, target) if target else []),
    ]
    answers: list[Finding] = []
    if target is not None and not any(one.blocks for one in first):
        there = nodes.chosen(situation)
        answers = ask(cluster, found, there, target, options, observer)
    return Findings(
        running=running,
        found=together(
            [
                *first,
                *answers,
                *api_servers.findings(servers, options.version),
                *of_records,
                *(kept(running, target) if target else []),
                *objects.of_users(cluster, dns=objects.runs(running, COREDNS)),
            ]
        ),
        target=target,
        offers=[to(version) for version in offered(situation.nodes, running, newest)],
        newest=newest,
        options=options.words,
    )


def refuse(findings: Findings) -> None:
    """Raise SelfhostError if an upgrade to the target would break something."""
    if not findings.blocking or findings.target is None:
        return
    listed = "\n".join(f"  - {harmless(str(one))}" for one in findings.blocking)
    raise SelfhostError(
        f"The control plane can't go to {findings.target.version} yet. Nothing was changed.\n{listed}"
    )


def _newest(running: Sequence[Running]) -> Version:
    there = [one.version for one in running if one.component == APISERVER and one.version]
    if not there:
        raise SelfhostError(
            "No kube-apiserver pod tells its version.",
            "`kubectl selfhost status -o wide` shows what runs on the control-plane nodes.",
        )
    return max(there)


def _unsettled(situation: Situation) -> list[Finding]:
    """Return what is not self-hosted, or is changing."""
    static = [one for one in COMPONENTS if not one.groups_in(situation.daemonsets)]
    if static:
        return [
            Finding(
                ", ".join(one.name for one in static),
                "not self-hosted",
                blocks=True,
                remedy="Run `kubectl selfhost pivot` first. (Static pods are upgraded by kubeadm.)",
            )
        ]
    moving = goes_by_itself(situation)
    if moving:
        return [Finding("The control plane", moving, remedy="A run waits for that.")]
    found = []
    for component in COMPONENTS:
        for own in component.groups_in(situation.daemonsets):
            try:
                require_rolled_out(situation.daemonset(own))
            except SelfhostError as error:
                found.append(
                    Finding(own.name, error.message.rstrip("."), blocks=True, remedy=error.hint)
                )
    found += [
        Finding(
            component.name,
            "not served by its DaemonSet",
            blocks=True,
            remedy="`kubectl selfhost status` shows what serves, and the command to run.",
            node=node,
        )
        for node in nodes.chosen(situation)
        for component in COMPONENTS
        if not situation.self_hosted(component, node)
    ]
    return found
