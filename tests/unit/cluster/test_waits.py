from __future__ import annotations

import time

import pytest

from kubectl_selfhost.cluster.waits import TimedOut, Waiting, wait_until


def test_what_is_there_is_given_back_at_once() -> None:
    began = time.monotonic()
    assert wait_until(lambda: 7, what="a number", timeout=10, every=10) == 7
    assert time.monotonic() - began < 5


def test_the_reasons_are_told_meanwhile() -> None:
    left = [3]
    told: list[str] = []

    def check() -> str:
        left[0] -= 1
        if left[0]:
            raise Waiting(f"{left[0]} to go")
        return "done"

    assert wait_until(check, what="it", timeout=5, every=0.01, tell=told.append) == "done"
    assert told == ["2 to go", "1 to go"]


def test_the_last_reason_is_in_the_error() -> None:
    def check() -> None:
        raise Waiting("the pod is Pending")

    with pytest.raises(TimedOut, match="waiting for the pod: the pod is Pending") as caught:
        wait_until(check, what="the pod", timeout=0.05, every=0.01)
    assert (caught.value.what, caught.value.why) == ("the pod", "the pod is Pending")


def test_none_is_not_yet() -> None:
    with pytest.raises(TimedOut, match=r"waiting for it\."):
        wait_until(lambda: None, what="it", timeout=0.03, every=0.01)


def test_false_is_an_answer() -> None:
    assert wait_until(lambda: False, what="it", timeout=1) is False


def test_no_time_at_all_is_one_look() -> None:
    looks: list[int] = []
    with pytest.raises(TimedOut):
        wait_until(lambda: looks.append(1), what="it", timeout=0)
    assert looks == [1]


def test_the_time_limit_is_kept() -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        wait_until(lambda: None, what="it", timeout=0.3, every=10)
    assert 0.3 <= time.monotonic() - began < 5


def test_another_error_passes_through() -> None:
    def check() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        wait_until(check, what="it", timeout=1)
