"""When the guardian puts a recovery copy in place, and when it removes the copy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import compile_agent

Look = tuple[int, str, int]  # at a second, flags (rule.c), listeners
Moves = Callable[[list[Look]], list[tuple[int, str]]]

FIRST = "ofk"  # the API server's, ours to look after, a copy kept
OTHER = "olk"  # another component's, while the API server listens


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the rule as a program."""
    program = tmp_path_factory.mktemp("rule") / "rule"
    compile_agent(program, Path(__file__).with_name("rule.c"))
    return program


@pytest.fixture
def moves(program: Path) -> Moves:
    """Return a function that gives looks to the rule, and returns what the rule wanted moved, and
    when.
    """

    def ask(looks: list[Look]) -> list[tuple[int, str]]:
        lines = "".join(f"{at} {flags} {count}\n" for at, flags, count in looks)
        run = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
        answers = zip(looks, run.stdout.split(), strict=True)
        return [(look[0], word) for look, word in answers if word != "rest"]

    return ask


def during(begin: int, end: int, flags: str, listeners: int) -> list[Look]:
    """Return a look each second, as the guardian does it."""
    return [(at, flags, listeners) for at in range(begin, end)]


def test_after_a_reboot_the_copy_comes_soon(moves):
    assert moves(during(1, 4, FIRST, 0)) == [(3, "place")]


def test_a_server_that_was_heard_has_time_to_come_back(moves):
    assert moves([(1, FIRST, 1), *during(2, 8, FIRST, 0)]) == [(7, "place")]
    assert moves([(1, FIRST, 1), *during(2, 6, FIRST, 0), *during(6, 60, FIRST, 1)]) == []


def test_one_copy_at_most(moves):
    assert moves(during(1, 60, FIRST + "i", 0)) == []


def test_nothing_is_put_in_place_that_is_not_kept(moves):
    assert moves(during(1, 60, "of", 0)) == []


def test_nothing_while_somebody_else_is_at_work(moves):
    assert moves(during(1, 60, "fk", 0)) == []
    assert moves(during(1, 90, "fki", 2)) == []


def test_nothing_beside_its_own_static_pod(moves):
    assert moves(during(1, 60, FIRST + "s", 0)) == []


def test_a_copy_beside_its_own_static_pod_goes_at_once(moves):
    assert moves([(1, FIRST + "is", 1)]) == [(1, "take")]


def test_the_others_wait_for_the_first(moves):
    assert moves(during(1, 60, "ok", 0)) == []
    assert moves([*during(1, 60, "ok", 0), *during(60, 71, OTHER, 0)]) == [(70, "place")]


def test_a_copy_goes_when_two_have_listened_long_enough(moves):
    assert moves(during(1, 60, OTHER + "i", 1)) == []
    assert moves(during(1, 32, OTHER + "i", 2)) == [(31, "take")]


def test_the_first_ones_copy_stays_until_the_server_has_lived_a_minute(moves):
    assert moves(during(1, 120, FIRST + "i", 1)) == []
    assert moves(during(1, 77, FIRST + "i", 2)) == [(76, "take")]


def test_two_that_listen_now_and_then_are_not_enough(moves):
    looks = [*during(1, 30, OTHER + "i", 2), (30, OTHER + "i", 1)]
    assert moves(looks + during(31, 60, OTHER + "i", 2)) == []


class Days:
    """One second after the other, with a server that serves or not; what the rule wants moved is
    moved.
    """

    def __init__(self, program: Path) -> None:
        self._rule = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.now, self.placed = 1, False

    def until(self, word: str, *, served: bool, limit: int = 1000) -> int:
        """Let time pass until the rule says ``word``; return how many seconds this took."""
        began = self.now
        while self.now < began + limit:
            self.now += 1
            said = self._ask(served + self.placed)
            if said != "rest":
                assert said == word
                self.placed = word == "place"
                return self.now - began
        assert word == "rest"
        return limit

    def _ask(self, listeners: int) -> str:
        assert self._rule.stdin is not None
        assert self._rule.stdout is not None
        flags = FIRST + "i" * self.placed
        self._rule.stdin.write(f"{self.now} {flags} {listeners}\n")
        self._rule.stdin.flush()
        return self._rule.stdout.readline().strip()

    def end(self) -> None:
        self._rule.communicate()


@pytest.fixture
def days(program: Path) -> Iterator[Days]:
    days = Days(program)
    yield days
    days.end()


def test_a_copy_that_is_needed_again_stays_longer_but_comes_as_soon(days):
    stays = []
    for _ in range(6):
        assert days.until("place", served=False) <= 6
        stays.append(days.until("take", served=True))
    assert stays == [76, 76, 121, 241, 301, 301]


def test_after_a_calm_time_it_is_a_first_time_again(days):
    days.until("place", served=False)
    days.until("take", served=True)
    days.until("rest", served=True, limit=700)
    days.until("place", served=False)
    assert days.until("take", served=True) == 76
