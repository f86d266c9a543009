"""The plan of an upgrade: each component by a roll-out, then kubeadm's records.

To a new minor release each component goes twice. First the new program behaves as the old release
(``--emulated-version``): the new version can be watched, and goes back by itself if it does not hold.
Then a second roll-out takes the flag off. From there on a run only goes forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
    Component,
)
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.pod import flags as component_flags
from kubectl_selfhost.controlplane.upgrade import course
from kubectl_selfhost.controlplane.upgrade.findings import Findings
from kubectl_selfhost.controlplane.upgrade.target import Target
from kubectl_selfhost.engine.journal import Journal
from kubectl_selfhost.engine.runner import Observer
from kubectl_selfhost.engine.step import Outcome, Plan, Step, looks_itself
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.plans.rollout.node import NodeRollout
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.rollout.plan import Rollout
from kubectl_selfhost.plans.rollout.steps import RolloutSteps
from kubectl_selfhost.plans.shared.node_part import as_fact, in_words
from kubectl_selfhost.plans.shared.situation import Situation
from kubectl_selfhost.plans.upgrade import backup, ending
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions
from kubectl_selfhost.plans.upgrade.records import RecordSteps
from kubectl_selfhost.plans.upgrade.soak import Soak
from kubectl_selfhost.plans.upgrade.stage import Changes, Stage, at_once, container

#: Seconds for which a new minor release is watched by default; a patch release is not.
SOAK = 600.0
_MANAGERS = (CONTROLLER_MANAGER, SCHEDULER)

_UPGRADE = "Upgrade the control plane on {} to {}"
_BACK = "Take the control plane on {} back to {}"
_UNTIL_THEN = (
    "Until the version stays (the step {step}), a failure or Ctrl-C takes everything back. After it a "
    "failed run stays where it is, and the same command continues."
)
_EMULATES = (
    "At first the new programs behave as {version} (--{flag}={version}): they serve and store what "
    "{version} does."
)
_ETCD = "etcd and CoreDNS stay as they are: Kubernetes {release} works with the present etcd."
_SNAPSHOT = (
    "The run makes no snapshot of etcd. For one, run: kubectl -n kube-system exec etcd-{node} -- etcdctl "
    "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt "
    "--key=/etc/kubernetes/pki/etcd/server.key snapshot save /var/lib/etcd/snapshot.db"
)
_ALONE = (
    "If kube-apiserver stops for good while it is watched, and no other node has one, nobody can reach "
    "the API to take it back: see docs/upgrade.md."
)


MakeStage = Callable[[str, Sequence[Component], Changes], list[Step]]


class Upgrade(Rollout):
    """An upgrade to the target of ``findings``, from a situation that was read before."""

    def __init__(
        self,
        cluster: Cluster,
        situation: Situation,
        *,
        nodes: Sequence[NodeRollout],
        options: RolloutOptions,
        chosen: UpgradeOptions,
        findings: Findings,
        former: Mapping[str, dict],
    ) -> None:
        """``former`` are the DaemonSets as they were before the upgrade, by name."""
        super().__init__(cluster, situation, nodes=nodes, options=options)
        assert findings.target is not None
        self.chosen = chosen
        self.findings = findings
        self.target: Target = findings.target
        self.former = former
        #: Whether the new version stays: from then on nothing goes back.
        self.stays = False

    # ---- what is to be done ----

    def change(self, component: Component) -> Change:
        return self._towards(component, container(self.before(component)))

    def _towards(self, component: Component, now: dict) -> Change:
        if self.chosen.back:
            former = self.former.get(component.daemonset)
            return course.back(
                now,
                container(former) if former else {},
                image=course.image_at(now, component.name, self.target),
            )
        if course.is_there(now, component.name, self.target):
            return Change()
        return course.towards(
            now,
            component.name,
            self.target,
            flags=self.chosen.unset_flags,
            gates=self.chosen.unset_gates,
        )

    def _back(self, component: Component, now: dict) -> Change:
        former = self.former.get(component.daemonset)
        if former is None:
            raise SelfhostError(
                f"Nothing in the cluster says what {component} was before the upgrade.",
                f"Run `kubectl selfhost rollout {component} --image=IMAGE` with the former image.",
            )
        return course.back(now, container(former))

    @property
    def emulated(self) -> str:
        """Return the version that components behave as until the upgrade's end; empty for none."""
        if self.chosen.back:
            return ""
        found = [container(self.before(one)) for one in self.components()]
        said = [course.emulates(one) or course.emulation(one, self.target) for one in found]
        return next(filter(None, said), "")

    @property
    def soak(self) -> float:
        """Return for how many seconds the new version is watched."""
        if self.chosen.soak is not None:
            return self.chosen.soak
        return SOAK if self.emulated else 0.0

    def _is_complete(self) -> bool:
        """Return whether no DaemonSet has to change."""
        return not any(
            self.change(one) or course.emulates(container(self.before(one)))
            for one in self.components()
        )

    def _told(self) -> list[str]:
        """Return what each component gets, in words."""
        found = []
        for component in self.components():
            change = self.change(component)
            of_group = f" of {component.group}" if component.group else ""
            words = [
                *([f"the image {change.image}"] if change.image else []),
                *[f"--{name}={v}" for name, values in change.flags.items() for v in values],
                *[f"no --{name}" for name in change.without],
            ]
            if words:
                found.append(f"{component}{of_group} gets {', '.join(words)}.")
        return found

    def manifests(self) -> list[dict]:
        """Return every DaemonSet as it will be at the end."""
        made = []
        for component in self.components():
            after = self.after(component)
            component_flags.without_flag(container(after), course.EMULATED)
            made.append(after)
        return made

    # ---- the plan ----

    def plan(self, *, observer: Observer, journal: Journal) -> Plan:
        """Return the steps; those that an earlier run has done are done."""
        steps = [RolloutSteps(self.cluster, one, observer, journal) for one in self.nodes]
        records = RecordSteps(
            self.cluster, self.target, timeout=self.options.timeout, observer=observer
        )
        rolled_out = [] if self._is_complete() else self._rolled_out(steps, observer, journal)
        title = _BACK if self.chosen.back else _UPGRADE
        return Plan(
            title=title.format(in_words(self.nodes), self.target.version),
            steps=[
                # A kube-proxy is never newer than an API server.
                *([records.kube_proxy()] if self.chosen.back else []),
                *rolled_out,
                *(records.all() if not self.chosen.back else [records.configuration()]),
                ending.verify(self.cluster, self.target, self.components(), records),
            ],
            facts={
                **as_fact(self.nodes),
                "Version": f"{self.findings.newest} → {self.target.version}",
                **({"Behaves at first as": self.emulated} if self.emulated else {}),
                **({"Is watched for": f"{self.soak:g} s"} if self.soak else {}),
                **ways.told(self.choices),
            },
            know=[
                *self._told(),
                *(
                    [_EMULATES.format(version=self.emulated, flag=course.EMULATED)]
                    if self.emulated
                    else []
                ),
                *([_UNTIL_THEN.format(step="soak")] if rolled_out else []),
                *([_ALONE] if len(self.nodes) == 1 and self.soak else []),
                *self.how_it_goes(),
                *([_SNAPSHOT.format(node=self.nodes[0].node)] if rolled_out else []),
                _ETCD.format(release=self.target.version.release),
                *self.findings.know,
            ],
        )

    def _rolled_out(
        self, steps: Sequence[RolloutSteps], observer: Observer, journal: Journal
    ) -> list[Step]:
        """Return the steps that need an agent on each node."""

        def stage(name: str, components: Sequence[Component], changes: Changes) -> list[Step]:
            made = self._stage(name, components, changes)
            if not self.chosen.back:
                made.way_back = lambda one: self._way_back(one, steps, observer, journal)
            own = made.changes(steps, observer, journal)
            self.handovers += made.handovers
            return own

        begin = [] if self.chosen.back else [self._backup()]
        return [
            *begin,
            *[own.program() for own in self.first_of_each_kind(steps)],
            *[own.inspect() for own in steps],
            *(
                self._there(stage, observer)
                if not self.chosen.back
                else self._home(stage, observer)
            ),
            *[own.end_agent() for own in steps],
        ]

    def _there(self, stage: MakeStage, observer: Observer) -> list[Step]:
        last = (
            stage("final", COMPONENTS, lambda _, now: course.commit(now)) if self.emulated else []
        )
        return [
            *stage("new-api-server", (APISERVER,), self._towards),
            *stage("new-managers", _MANAGERS, self._towards),
            self._soak(observer),
            *last,
        ]

    def _home(self, stage: MakeStage, observer: Observer) -> list[Step]:
        """Return the steps of the way back: nobody is ever newer than an API server."""
        return [
            *stage("former-managers", _MANAGERS, self._towards),
            *stage("former-api-server", (APISERVER,), self._towards),
            self._soak(observer),
        ]

    def _stage(self, name: str, components: Sequence[Component], changes: Changes) -> Stage:
        return Stage(
            self.cluster,
            self.situation,
            nodes=self.nodes,
            options=RolloutOptions(
                components=tuple(components),
                timeout=self.options.timeout,
                handover=self.options.handover,
            ),
            name=name,
            changes=changes,
            may_go_back=lambda: not self.stays,
        )

    def _way_back(
        self,
        component: Component,
        steps: Sequence[RolloutSteps],
        observer: Observer,
        journal: Journal,
    ) -> None:
        """Give a component that an earlier run has changed its former image and flags."""
        stage = self._stage("back", (component,), self._back)
        if all(stage.is_done(one) for one in stage.components()):
            return
        at_once(stage.changes(steps, observer, journal), observer)

    def _backup(self) -> Step:
        return Step(
            name="backup",
            title=f"Keep DaemonSets, add-ons and kubeadm's records in ConfigMap "
            f"{backup.name_for(self.target)}",
            why="`upgrade --back` and a person read there what was; it holds no Secret",
            done=self._has_begun,
            do=lambda: backup.make(
                self.cluster, self.target, [self.before(one) for one in self.components()]
            ),
        )

    def _has_begun(self) -> bool:
        """Return whether an earlier run has changed a component, so that its backup must stay."""
        return any(not self.change(one) for one in self.components())

    def _soak(self, observer: Observer) -> Step:
        def watch() -> None:
            watched = [(one.own(c), one.node) for one in self.nodes for c in COMPONENTS]
            Soak(self.cluster, watched, tell=observer.step_waiting).watch(self.soak)
            self.stays = True

        how_long = f"Watch the new version for {self.soak:g} s" if self.soak else "Look once more"
        return Step(
            name="soak",
            title=f"{how_long}; from then on it stays",
            why="readiness, restarts, leases and nodes tell whether it holds; else all goes back",
            done=looks_itself,
            do=watch,
        )

    # ---- the end ----

    def outcome(self) -> Outcome:
        """Return what a person reads at the end, with the commands for each node."""
        return ending.outcome(
            self.cluster, self.target.version, first=[one.node for one in self.nodes]
        )
