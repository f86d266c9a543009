"""``make soak``: a new cluster and its pivot, again and again; what is rare shows up in numbers."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from bed import cluster, pytestkind
from bed.command import BedError, say
from bed.harness import Bed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    failed = 0
    try:
        kit = cluster.prepare()
        for number in range(1, arguments.rounds + 1):
            failed += not _round(kit, number)
    except BedError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    print(f"{arguments.rounds} rounds, {failed} failed")
    return 1 if failed else 0


def _round(kit: cluster.Kit, number: int) -> bool:
    """Pivot a cluster of its own, once; a second pivot must find nothing to do."""
    name = f"{pytestkind.PREFIX}{os.getpid()}-soak-{number}"
    with (
        tempfile.TemporaryDirectory(prefix="selfhost-soak-") as folder,
        pytestkind.running(kit, name, Path(folder)) as bed,
    ):
        for verb in (["pivot", "--yes"], ["pivot", "--yes"], ["status"]):
            run = bed.selfhost(*verb, check=False)
            print(f"round {number}: {' '.join(verb)}: exit {run.returncode}, {run.seconds:.1f} s")
            if run.returncode:
                print(run)
                return False
        print(f"round {number}: clients saw {json.dumps(runs(bed)[-1]['probe'])}", flush=True)
    return True


def runs(bed: Bed) -> list[dict]:
    """Return what the cluster's journal has of its runs."""
    journal = bed.get("configmap", "kubectl-selfhost-journal", "--namespace=kube-system")
    found: list[dict] = json.loads(journal["data"]["journal.json"])["runs"]
    return found


if __name__ == "__main__":
    sys.exit(main())
