"""Pre-flight: the checks that run before any change.

All checks run before a failure is reported, so that a person can fix all failures at once. Each check
says what it found, why this is a problem, and what to do. A single cause makes a single check fail:
checks that need the result of a failed check are skipped, and say so. A person may ignore a check by
its name, as with kubeadm's own ``--ignore-preflight-errors``.
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
    """The result of a check. ``cause`` and ``hint`` are for a warning or a failure. ``blocks``: after
    a failure, checks that need this check are skipped.
    """

    check: str
    result: str
    finding: str
    cause: str = ""
    hint: str = ""
    blocks: bool = True


@dataclass(frozen=True)
class Check:
    """A check: its name (CamelCase, as in kubeadm), its subject, and its function. ``needs`` are the
    names of earlier checks whose failure skips this check.
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
            "Fix the failed checks above, then run the command again. To ignore these checks, add "
            f"--ignore-preflight-errors={names.replace(' ', '')}.",
        )
        self.findings = findings


def ok(check: str, finding: str) -> Finding:
    return Finding(check, OK, finding)


def run_checks(checks: Iterable[Check], *, ignore: Iterable[str] = ()) -> list[Finding]:
    """Run the checks in parallel; return their findings in the checks' order.

    A failed check whose name is in ``ignore`` (any case, ``all`` for every check) becomes a
    warning. A check that raises an error (for example because the API refuses) fails with this error
    as its finding. If a check has failed and isn't ignored, the checks that need it are skipped.
    """
    checks = list(checks)
    ignored = {name.strip().lower() for name in ignore}
    _refuse_unknown(ignored, checks)
    begun: dict[str, Future[Finding]] = {}

    def run(check: Check) -> Finding:
        # The checks that this check needs come before it, so they have started: none waits for a thread.
        needed = (begun[name].result() for name in check.needs)
        missing = next((finding for finding in needed if _leaves_nothing(finding)), None)
        if missing is not None:
            return Finding(check.name, SKIPPED, f"skipped: needs {missing.check}")
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
