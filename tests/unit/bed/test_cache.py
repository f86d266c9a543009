"""The cache holds finished things only."""

from __future__ import annotations

from pathlib import Path

import pytest
from bed import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def write(text: str) -> object:
    return lambda target: (target / "file").write_text(text)


def test_what_was_built_is_not_built_again() -> None:
    cache.keep("thing/1", write("first"))
    assert (cache.keep("thing/1", write("second")) / "file").read_text() == "first"


def test_a_failed_build_leaves_nothing() -> None:
    def fail(target: Path) -> None:
        (target / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.keep("thing/1", fail)
    assert list((cache.root() / "thing").iterdir()) == []


def test_what_a_killed_build_left_is_cleared() -> None:
    left = cache.root() / "thing" / "1.partial"
    left.mkdir(parents=True)
    (left / "half").write_text("")
    place = cache.keep("thing/1", write("whole"))
    assert [file.name for file in place.iterdir()] == ["file"]


def test_a_key_depends_on_a_files_content(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_text("one")
    before = cache.key(file)
    file.write_text("two")
    assert cache.key(file) != before


def test_a_key_does_not_depend_on_the_order_of_names() -> None:
    assert cache.key({"a": 1, "b": 2}) == cache.key({"b": 2, "a": 1})
