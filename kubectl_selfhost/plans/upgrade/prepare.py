"""What an upgrade looks at before its plan."""

from __future__ import annotations

from contextlib import suppress

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import DAEMONSETS
from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.daemonset.progress import is_available
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.controlplane.upgrade.findings import Findings
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.session import Prepared
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.rollout.prepare import look_for
from kubectl_selfhost.plans.shared.situation import read_situation
from kubectl_selfhost.plans.upgrade import backup
from kubectl_selfhost.plans.upgrade.look.examine import examine, refuse
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions
from kubectl_selfhost.plans.upgrade.plan import Upgrade
from kubectl_selfhost.plans.upgrade.stage import container

#: Seconds for a rollout that is in progress: an old API server drains for half a minute.
_IN_PROGRESS = 120.0


def prepare(
    cluster: Cluster,
    options: UpgradeOptions,
    *,
    observer: Observer,
    found: Findings | None = None,
) -> Prepared[Upgrade]:
    """Look at the control plane and make the plan; change nothing.

    ``found`` is what the look has found already. Raise SelfhostError if an upgrade can't begin, with
    what to do.
    """
    of_rollout = RolloutOptions(
        components=COMPONENTS, timeout=options.timeout, handover=options.handover
    )
    _wait_for_rollouts(cluster, options, observer)
    settled = look_for(Rollout, cluster, of_rollout, observer=observer)
    found = found or examine(cluster, settled.situation, options, observer=observer)
    refuse(found)
    assert found.target is not None
    upgrade = Upgrade(
        cluster,
        settled.situation,
        nodes=settled.nodes,
        options=of_rollout,
        chosen=options,
        findings=found,
        former={},
    )
    upgrade.former = _former(upgrade)
    if not options.back:
        _refuse_other_emulation(upgrade)
    for component in upgrade.components():
        if upgrade.change(component):
            cluster.replace(DAEMONSETS, upgrade.after(component), dry_run=True)
    journal = Journal(cluster, warn=observer.warning)
    plan = upgrade.plan(observer=observer, journal=journal)
    verb = f"upgrade {'--back ' if options.back else ''}{found.target.version}"
    return Prepared(verb, upgrade, plan, journal, options.timeout)


def _wait_for_rollouts(cluster: Cluster, options: UpgradeOptions, observer: Observer) -> None:
    """Wait for a rollout that a killed run has left to the DaemonSet controller. If the rollout does
    not end, the look at the control plane says so.
    """

    def check() -> bool:
        situation = read_situation(cluster)
        for component in COMPONENTS:
            for own in component.groups_in(situation.daemonsets):
                if not is_available(situation.daemonset(own)):
                    raise Waiting(f"a rollout of DaemonSet {own.daemonset} is in progress")
            for node in situation.node_names:
                ready = [one for one in situation.instances(component, node) if one.ready]
                if len(ready) > 1:
                    raise Waiting(f"a former {component} on {node} is about to end")
        return True

    with suppress(TimedOut):
        wait_until(
            check,
            what="rollouts in progress to end",
            timeout=min(options.timeout, _IN_PROGRESS),
            every=1.0,
            tell=observer.step_waiting,
        )


def _former(upgrade: Upgrade) -> dict[str, dict]:
    """Return the DaemonSets as they were before the upgrade, by name: as they are, or as an earlier run
    has kept them.
    """
    if upgrade.chosen.back:
        return backup.newest(upgrade.cluster)
    kept = backup.daemonsets(upgrade.cluster, upgrade.target)
    unchanged = {
        one.daemonset: upgrade.before(one) for one in upgrade.components() if upgrade.change(one)
    }
    return {**kept, **unchanged}


def _refuse_other_emulation(upgrade: Upgrade) -> None:
    """Refuse a component that emulates a version although it is not the target's: a person wants so,
    or another upgrade has not ended.
    """
    for component in upgrade.components():
        now = container(upgrade.before(component))
        if course.emulates(now) and upgrade.change(component):
            raise SelfhostError(
                f"{component} has --{course.EMULATED}={course.emulates(now)}: another upgrade has not "
                "ended, or somebody wants this.",
                f"End that upgrade with its own version, or remove the flag: `kubectl selfhost rollout "
                f"{component} --unset-flag={course.EMULATED}`.",
            )
