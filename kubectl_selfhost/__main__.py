"""The start of the program: krew's and pip's entry points, and ``python -m kubectl_selfhost``.

This module answers ``--version`` and ``--help`` before it loads the libraries. People and scripts
use these flags most, and kubectl itself answers in 50 ms.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and exit with its exit status."""
    words = sys.argv[1:]
    if not words or words in (["-h"], ["--help"], ["help"]):
        from kubectl_selfhost.cli.commands import overview

        answer = overview()
    elif words in (["--version"], ["version"]):
        from kubectl_selfhost.cli.commands import version

        answer = version()
    else:
        from kubectl_selfhost.cli.main import run

        sys.exit(run(words))
    sys.stdout.write(answer)


if __name__ == "__main__":
    main()
