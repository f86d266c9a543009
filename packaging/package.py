"""Build everything that a release consists of, into dist/.

python packaging/package.py [--home URL] [--without-agents] [DIRECTORY]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import zipapp

import krew
from contents import ROOT, BuildError


def build(directory: Path, *, home: str, agents: bool) -> None:
    """Build the zipapp, krew's archive, and krew's manifest with the archive's digest."""
    directory.mkdir(parents=True, exist_ok=True)
    program, archive = directory / "kubectl-selfhost", directory / "kubectl-selfhost.tar.gz"
    with tempfile.TemporaryDirectory(prefix="kubectl-selfhost-") as folder:
        licences = Path(folder, "licences")
        zipapp.build(program, licences=licences, agents=agents)
        krew.write_archive(archive, program, licences)
    krew.write_manifest(directory / "selfhost.yaml", archive, version(), home)


def version() -> str:
    """Return the version, read from its file, without an import of the package."""
    text = (ROOT / "kubectl_selfhost" / "version.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found, "kubectl_selfhost/version.py holds no version"
    return found[1]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "dist")
    parser.add_argument("--home", default=krew.HOME, help="the project's URL, for the manifest")
    parser.add_argument("--without-agents", action="store_true", help="can't pivot; for trying")
    options = parser.parse_args()
    try:
        build(options.directory, home=options.home, agents=not options.without_agents)
    except BuildError as error:
        sys.exit(f"error: {error}")
    for path in sorted(options.directory.iterdir()):
        print(f"{os.path.relpath(path)}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
