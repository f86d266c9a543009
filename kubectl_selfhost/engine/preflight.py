"""Pre-flight: everything that can be found out before anything is changed.

All checks run before one is reported as failed, so that a person fixes all failures in one go. Each
check says what it found, why this is a problem, and what to do. One cause is one failed check: a
check that needs what a failed check has looked for is skipped, and says so. A person may ignore a
check by its name, as with kubeadm's own ``--ignore-preflight-errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from kubectl_selfhost.errors import SelfhostError

OK = "ok"
WARNING = "warning"
FAILED = "failed"
SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of a check. ``cause`` and ``hint`` are for a warning or a failure; ``blocks``:
    after a failure the checks that need this one have nothing to look at.
    """

    check: str
    result: str
    finding: str
    cause: str = ""
    hint: str = ""
    blocks: bool = True


@dataclass(frozen=True)
class Check:
    """A check: its name (CamelCase, as kubeadm's), what it looks at, and how; ``needs`` are the
    names of checks before it whose failure leaves it nothing to look at.
    """

    name: str
    title: str
    look: Callable[[], Finding]
    needs: tuple[str, ...] = ()


class PreflightFailed(SelfhostError):
    """At least one check failed; nothing was changed."""

    def __init__(self, findings: list[Finding]) -> None:
        failed = [finding for finding in findings if finding.result == FAILED]
        names = ", ".join(finding.check for finding in failed)
        super().__init__(
            f"{len(failed)} pre-flight check{'s' if len(failed) > 1 else ''} failed: {names}. "
            "Nothing was changed.",
            "Fix what is marked above, then run the command again "
            f"(or, if you know better: --ignore-preflight-errors={names.replace(' ', '')}).",
        )
        self.findings = findings


def ok(check: str, finding: str) -> Finding:
    return Finding(check, OK, finding)


def run_checks(checks: Iterable[Check], *, ignore: Iterable[str] = ()) -> list[Finding]:
    """Run the checks in parallel; return their findings in the checks' order.

    A failed check whose name is in ``ignore`` (any case, ``all`` for every check) becomes a
    warning. A check that can't look (the API refuses, say) fails with this error as its finding. A
    check that needs a check that has failed, and isn't ignored, is skipped.
    """
    checks = list(checks)
    ignored = {name.strip().lower() for name in ignore}
    _refuse_unknown(ignored, checks)
    begun: dict[str, Future[Finding]] = {}

    def run(check: Check) -> Finding:
        # The checks that it needs come before it, so they have begun: no check waits for a free thread.
        needed = (begun[name].result() for name in check.needs)
        missing = next((finding for finding in needed if _leaves_nothing(finding)), None)
        if missing is not None:
            return Finding(check.name, SKIPPED, f"not looked at: needs {missing.check}")
        return _ignored(_look(check), ignored)

    with ThreadPoolExecutor(max_workers=8) as pool:
        for check in checks:
            begun[check.name] = pool.submit(run, check)
    return [begun[check.name].result() for check in checks]


def _leaves_nothing(finding: Finding) -> bool:
    return finding.result == SKIPPED or (finding.result == FAILED and finding.blocks)


def _refuse_unknown(ignored: set[str], checks: list[Check]) -> None:
    known = {check.name.lower() for check in checks} | {"all"}
    for name in sorted(ignored - known):
        raise SelfhostError(
            f'There is no pre-flight check called "{name}".',
            "The checks are: " + ", ".join(check.name for check in checks) + ", or all.",
        )


def _look(check: Check) -> Finding:
    try:
        return check.look()
    except SelfhostError as error:
        return Finding(check.name, FAILED, f"{check.title}: {error.message}", hint=error.hint)


def _ignored(finding: Finding, ignored: set[str]) -> Finding:
    if finding.result == FAILED and ({finding.check.lower(), "all"} & ignored):
        return replace(finding, result=WARNING, finding=f"{finding.finding} (ignored)")
    return finding


def require(findings: list[Finding]) -> None:
    """Raise PreflightFailed if any of ``findings`` has failed."""
    if any(finding.result == FAILED for finding in findings):
        raise PreflightFailed(findings)
