"""The build of the package, and the Pythons to run it with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
_NOT_COPIED = (".git", "dist", "__pycache__", ".*_cache", "tests")


def copy_tree(target: Path, source: Path = TREE) -> Path:
    """Copy what the package is built from to a place of its own."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    return target


def build(tree: Path, *options: str, **environment: str) -> Path:
    """Run the build of ``tree``; return the directory with the result."""
    target = tree / "dist"
    command = [sys.executable, "packaging/package.py", str(target), *options]
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def interpreters() -> dict[str, Path]:
    """Return every CPython of this machine, by its version: those in the PATH, and pyenv's."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    pyenv = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    folders += sorted(Path(pyenv).glob("versions/*/bin"))
    found: dict[str, Path] = {}
    for folder in folders:
        if folder.name == "shims" or not folder.is_dir():
            continue
        for path in folder.iterdir():
            if re.fullmatch(r"python(2\.7|3\.\d+)", path.name):
                found.setdefault(path.name.removeprefix("python"), path)
    return found


def is_served(version: str) -> bool:
    """Return whether the package claims to run on this Python."""
    return tuple(map(int, version.split("."))) >= (3, 10)
