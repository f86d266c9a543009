"""Write requirements/runtime.txt and requirements/dev.txt: exact versions, with their hashes.

The runtime is resolved for Python 3.10 on Linux, the oldest that the zipapp serves. The versions
chosen there are pure Python, so they also run on newer Pythons and on macOS. The development lock
holds for every Python and builds on the runtime's versions, so that the tests run with what is
shipped. Any index may be in use; none is written into the files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = "requirements/runtime.txt"
DEVELOPMENT = "requirements/dev.txt"

COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "pyproject.toml"),
    *("--generate-hashes", "--no-emit-index-url", "--no-annotate", "--python-version", "3.10"),
    *("--custom-compile-command", "python packaging/lock.py"),
)


def main() -> None:
    """Write both files. Arguments go to uv: --upgrade, or --upgrade-package NAME."""
    extra = sys.argv[1:]
    compile_(RUNTIME, "--python-platform", "linux", *extra)
    compile_(DEVELOPMENT, "--universal", "--group", "dev", "--constraints", RUNTIME, *extra)


def compile_(output: str, *options: str) -> None:
    """Resolve into ``output``; keep the versions in it that still fit."""
    command = [sys.executable, *COMPILE, *options, "--output-file", output]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
