"""The rooms of the code: small enough to be seen at a glance, and named by the folder's own sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted({file.parent for file in (ROOT / "kubectl_selfhost").rglob("*.py")})
MOST_FILES = 15


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_has_few_files_and_says_what_is_decided_there(room: Path):
    assert len(list(room.glob("*.py"))) <= MOST_FILES
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text()))


def test_contributors_are_told_of_each_room():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for room in (ROOT / "kubectl_selfhost").iterdir():
        if (room / "__init__.py").exists():
            assert f"`kubectl_selfhost/{room.name}`" in page
