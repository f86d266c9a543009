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
from bed.harness import path_with_plugin

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
    environment = os.environ | {"PATH": path_with_plugin(folder, golang.tool("kubectl"))}
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


if __name__ == "__main__":
    sys.exit(main())
