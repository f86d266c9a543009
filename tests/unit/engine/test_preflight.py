"""Pre-flight: all checks run, and what a person may ignore."""

from __future__ import annotations

import pytest

from kubectl_selfhost.engine.preflight import (
    FAILED,
    OK,
    SKIPPED,
    WARNING,
    Check,
    Finding,
    PreflightFailed,
    ok,
    require,
    run_checks,
)
from kubectl_selfhost.errors import SelfhostError


def good(name: str) -> Check:
    return Check(name, name, lambda: ok(name, "fine"))


def bad(name: str) -> Check:
    return Check(name, name, lambda: Finding(name, FAILED, "broken", "cause", "hint"))


def test_all_checks_run_before_any_is_said_to_fail():
    assert [f.result for f in run_checks([bad("A"), good("B"), bad("C")])] == [FAILED, OK, FAILED]


def test_findings_are_in_the_checks_order():
    assert [f.check for f in run_checks([good("B"), bad("A")])] == ["B", "A"]


def needing(name: str, *needs: str) -> Check:
    return Check(name, name, lambda: ok(name, "fine"), needs)


def test_what_needs_a_failed_check_is_skipped_and_says_so():
    found = run_checks([bad("A"), needing("B", "A"), needing("C", "B"), good("D")])
    assert [f.result for f in found] == [FAILED, SKIPPED, SKIPPED, OK]
    assert [f.finding for f in found[1:3]] == ["skipped: needs A", "skipped: needs B"]
    with pytest.raises(PreflightFailed, match="1 pre-flight check failed: A"):
        require(found)


def test_what_needs_a_check_that_is_ignored_or_blocks_nothing_is_looked_at():
    open_ = Check("A", "A", lambda: Finding("A", FAILED, "broken", blocks=False))
    for found in (
        run_checks([bad("A"), needing("B", "A")], ignore=["A"]),
        run_checks([open_, needing("B", "A")]),
    ):
        assert found[1].result == OK


def test_checks_that_wait_for_others_never_wait_for_each_other():
    """More of them than there are threads."""
    checks = [good("0"), *[needing(str(n), str(n - 1)) for n in range(1, 30)]]
    assert {f.result for f in run_checks(checks)} == {OK}


def test_an_ignored_failure_is_a_warning():
    assert run_checks([bad("HeadRoom")], ignore=["headroom"])[0].result == WARNING


def test_all_ignores_every_failure():
    assert {f.result for f in run_checks([bad("A"), bad("B")], ignore=["all"])} == {WARNING}


def test_an_unknown_name_is_refused_and_the_known_ones_are_named():
    with pytest.raises(SelfhostError) as raised:
        run_checks([good("HeadRoom")], ignore=["HeadRom"])
    assert '"headrom"' in raised.value.message
    assert "HeadRoom" in raised.value.hint


def test_a_check_that_can_not_look_has_failed():
    def look() -> Finding:
        raise SelfhostError("the API says no", "ask it")

    finding = run_checks([Check("A", "the thing", look)])[0]
    assert (finding.result, finding.finding) == (FAILED, "the thing: the API says no")
    assert finding.hint == "ask it"


def test_require_names_every_failed_check():
    with pytest.raises(PreflightFailed, match="2 pre-flight checks failed: A, B"):
        require(run_checks([bad("A"), bad("B"), good("C")]))


def test_require_lets_warnings_pass():
    require(run_checks([bad("A")], ignore=["A"]))
