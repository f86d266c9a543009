"""Runs of whole verbs on a fake cluster: from the first look to the last step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any

from fakes.edge import Edge
from fakes.world import World
from kubectl_selfhost.cli import run
from kubectl_selfhost.cli.verbs import credentials, pivot, revert, rollout, secrets, sync, upgrade
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.controlplane.component import COMPONENTS
from kubectl_selfhost.controlplane.credentials import CREDENTIALS, NAMES
from kubectl_selfhost.controlplane.daemonset.change import Change
from kubectl_selfhost.controlplane.upgrade.version import Version
from kubectl_selfhost.engine import session
from kubectl_selfhost.engine.step import Plan, Step, nothing
from kubectl_selfhost.plans.credentials.options import RenewalOptions
from kubectl_selfhost.plans.leftovers import look as leftovers
from kubectl_selfhost.plans.leftovers import settle
from kubectl_selfhost.plans.pivot.options import PivotOptions
from kubectl_selfhost.plans.revert.options import RevertOptions
from kubectl_selfhost.plans.rollout.options import RolloutOptions
from kubectl_selfhost.plans.secrets.options import SecretsOptions
from kubectl_selfhost.plans.upgrade.options import UpgradeOptions

TIMEOUT = 60.0
#: The version to which an upgrade goes if nothing else is asked for.
NEXT_MINOR = "v1.38.0"
#: A change of a step before the step is run; its number counts from 0.
StepChange = Callable[[int, Step], Step]


@dataclass
class Seen:
    """An observer that keeps what it is told."""

    #: The names of the steps of the plan that is carried out, and of those that have begun.
    planned: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    waited_for: list[str] = field(default_factory=list)

    def clear(self) -> None: ...

    def settled(self) -> None:
        """Note that the run has settled what an earlier one left, and begins to look."""

    def run_started(self, plan_title: str, steps: int) -> None: ...

    def step_started(self, number: int, name: str, title: str) -> None:
        self.steps.append(name)

    def step_waiting(self, why: str) -> None:
        self.waited_for.append(why)

    def step_done(self, seconds: float, outcome: str) -> None:
        self.outcomes.append(outcome)

    def step_failed(self, seconds: float, message: str) -> None:
        self.outcomes.append(f"failed: {message}")

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def same(number: int, step: Step) -> Step:
    return step


@dataclass
class Run:
    """A run of one verb by one process. ``still_ours`` stands in for the Lease's check."""

    world: World
    verb: str = "pivot"
    options: dict[str, Any] = field(default_factory=dict)
    step: StepChange = same
    still_ours: Callable[[], None] = nothing
    settle: bool = True
    seen: Seen = field(default_factory=Seen)
    edge: Edge | None = None

    def __call__(self) -> Any:
        """Run to the end; raise what ends the run. Return None if there is nothing to do."""
        self.edge = self.edge or self.world.client()
        cluster = self.edge.cluster()
        with cluster.acting_while(self.still_ours):
            left = leftovers.look(cluster)
            if self.settle and left:
                self._settle(cluster, left)
                left = leftovers.look(cluster)
            self.seen.settled()
            verb = self.command(cluster)
            if verb.nothing_to_do(left.situation):
                return None
            # The findings of the pre-flight checks, which a person reads.
            with redirect_stderr(StringIO()):
                prepared = verb.prepare(self.seen)  # type: ignore[arg-type]
            return self._carry_out(cluster, prepared)

    def rehearse(self) -> None:
        """Run with --dry-run, as far as the run of a person goes who reads the plans."""
        assert self.edge is not None
        cluster = self.edge.cluster()
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            run.rehearse(
                cluster, self.command(cluster), how="client", output="", manifests=lambda _: []
            )

    def command(self, cluster: Cluster) -> run.Verb[Any]:
        """Return the verb as it is typed."""
        if self.verb == "pivot":
            return pivot._verb(cluster, PivotOptions(timeout=TIMEOUT, **self.options))
        if self.verb == "revert":
            return revert._verb(cluster, RevertOptions(timeout=TIMEOUT, **self.options))
        if self.verb == "rollout":
            return rollout._verb(cluster, self._rollout_options())
        if self.verb == "upgrade":
            return upgrade._verb(cluster, self._upgrade_options())
        if self.verb == "credentials renew":
            return credentials._verb(cluster, self._renewal_options())
        if self.verb in ("credentials to-secrets", "credentials to-host"):
            to_host = self.verb.endswith("host")
            return secrets._verb(
                cluster, SecretsOptions(timeout=TIMEOUT, to_host=to_host, **self.options)
            )
        if self.verb == "credentials status":
            return credentials._look(cluster, TIMEOUT)
        return sync._verb(cluster, TIMEOUT)

    def _upgrade_options(self) -> UpgradeOptions:
        version = Version.parse(self.options.get("version", NEXT_MINOR))
        more = {name: value for name, value in self.options.items() if name != "version"}
        soak = {"soak": 10.0} | more
        return UpgradeOptions(version=version, keep_etcd=True, timeout=TIMEOUT, **soak)

    def _renewal_options(self) -> RenewalOptions:
        names = self.options.get("only", NAMES)
        read = tuple(one.restarts for one in CREDENTIALS if one.restarts and one.name in names)
        return RenewalOptions(components=read, timeout=TIMEOUT, **self.options)

    def _rollout_options(self) -> RolloutOptions:
        change = dict(self.options)
        components = change.pop("components", COMPONENTS)
        return RolloutOptions(components=components, change=Change(**change), timeout=TIMEOUT)

    def _settle(self, cluster: Cluster, left: leftovers.Leftovers) -> None:
        plan = self._changed(settle.plan(cluster, left, timeout=TIMEOUT, observer=self.seen))
        settle.carry_out(
            cluster,
            plan,
            verb=self.verb,
            timeout=TIMEOUT,
            observer=self.seen,
            still_ours=self.still_ours,
        )

    def _carry_out(self, cluster: Cluster, prepared: Any) -> Any:
        return session.carry_out(
            cluster,
            replace(prepared, plan=self._changed(prepared.plan)),
            observer=self.seen,
            still_ours=self.still_ours,
        )

    def _changed(self, plan: Plan) -> Plan:
        self.seen.planned = [step.name for step in plan.steps]
        return replace(plan, steps=[self.step(n, step) for n, step in enumerate(plan.steps)])
