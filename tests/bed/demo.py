"""``make demo``: a real cluster, the pivot as a person would type it, and what it looks like after."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bed import cluster, golang
from bed.command import BedError, say
from bed.harness import REPOSITORY, plugin

NAME = "selfhost-demo"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="selfhost-demo-") as folder:
            return _demo(Path(folder), keep=arguments.keep)
    except BedError as error:
        say(f"error: {error}")
    except KeyboardInterrupt:
        say("interrupted")
    return 1


def _demo(folder: Path, *, keep: bool) -> int:
    environment = _environment(folder)
    if not keep:  # its kubeconfig goes with it
        os.environ["KUBECONFIG"] = environment["KUBECONFIG"] = str(folder / "kubeconfig")
    cluster.create(NAME)
    try:
        for verb in (["pivot", "--yes"], ["status"]):
            words = ["kubectl", "selfhost", *verb]
            print(f"\n$ {' '.join(words)}", flush=True)
            status = subprocess.run(words, env=environment).returncode
            if status:
                return status
        return 0
    finally:
        print(flush=True)
        if keep:
            say(f"{NAME} stays, as context kind-{NAME}; make delete-cluster NAME={NAME} ends it")
        else:
            cluster.delete(NAME)


def _environment(folder: Path) -> dict[str, str]:
    """A PATH with the bed's kubectl, and this tree's plugin under the name that kubectl looks for."""
    shim = folder / "kubectl-selfhost"
    words = " ".join(f"'{word}'" for word in plugin())
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {words} "$@"\n')
    shim.chmod(0o755)
    path = [str(folder), str(golang.tool("kubectl").parent), os.environ["PATH"]]
    return os.environ | {"PATH": os.pathsep.join(path)}


if __name__ == "__main__":
    sys.exit(main())
