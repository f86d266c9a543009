from __future__ import annotations

import pytest

from kubectl_selfhost.cli.words import spelled_out, verbosity


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("status -v=4", "status --v=4"),
        ("status -v 4", "status --v=4"),
        ("status -v4", "status --v=4"),
        ("status --v 4", "status --v=4"),
        ("status -v", "status --v=4"),
        ("status -vv", "status --v=6"),
        ("status -v -v -v", "status --v=4 --v=6 --v=8"),
        ("status -v --watch", "status --v=4 --watch"),
        ("--context x status --watch", "status --context x --watch"),
        ("--context=x -v=6 status", "status --context=x --v=6"),
        ("-v 6 --as me --as-group a status", "status --v=6 --as me --as-group a"),
        ("--help", "--help"),
        ("status -- -v", "status -- -v"),
        ("", ""),
    ],
)
def test_words_are_spelled_out(typed: str, read: str):
    assert spelled_out(typed.split()) == read.split()


@pytest.mark.parametrize(
    ("typed", "level"),
    [("status", 0), ("status -v=7 --nonsense", 7), ("x -v -v", 6), ("x -v=a", 0)],
)
def test_verbosity_is_known_before_the_words_are_understood(typed: str, level: int):
    assert verbosity(typed.split()) == level
