"""The pages for people: their links lead somewhere, and the plugin knows the commands that they show."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from kubectl_selfhost.cli.words import joined

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> set[str]:
    """Return every command of the plugin in a shell block of a page, without its comment."""
    blocks = [b for page in PAGES for b in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return {line for line in lines if line.startswith("kubectl selfhost ")}


@cache
def help_of(verb: str) -> str:
    words = [sys.executable, "-m", "kubectl_selfhost", *verb.split(), "--help"]
    return subprocess.run(words, check=True, capture_output=True, text=True, cwd=ROOT).stdout


@pytest.mark.parametrize("command", sorted(commands()))
def test_the_plugin_knows_each_command_and_its_flags(command):
    verb, *words = joined(shlex.split(command)[2:])
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert [flag for flag in flags if flag not in help_of(verb)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_to_a_page_and_a_heading(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        file, _, heading = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.is_file(), target
        assert not heading or heading in _anchors(other), target


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", one).lower().replace(" ", "-") for one in headings}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
