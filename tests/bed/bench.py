"""``make bench``: how long a pivot takes, what a client sees of it, how fast the plugin starts."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bed import cluster, golang, pytestkind
from bed.command import BedError, say
from bed.harness import Bed, path_with_plugin

RUNS = 15  # of each command; the median counts
STARTS = {  # command: the ratio to kubectl's own that is promised
    ("kubectl", "selfhost", "--version"): 2.0,
    ("kubectl", "selfhost", "--help"): 2.5,
}


def main() -> int:
    try:
        with tempfile.TemporaryDirectory(prefix="selfhost-bench-") as folder:
            start_up(Path(folder))
            kit = cluster.prepare()
            name = f"{pytestkind.PREFIX}{os.getpid()}-bench"
            with pytestkind.running(kit, name, Path(folder)) as bed:
                pivot(bed)
    except BedError as error:
        say(f"error: {error}")
        return 1
    except AssertionError as error:  # the plugin's failure, with what it said
        say(f"error: {error}")
        return 1
    return 0


def start_up(folder: Path) -> None:
    """Print the start-up times, and their ratios to that of kubectl."""
    environment = os.environ | {"PATH": path_with_plugin(folder, golang.tool("kubectl"))}
    commands = [("kubectl", "version", "--client"), *STARTS]
    times: dict[tuple[str, ...], list[float]] = {command: [] for command in commands}
    for _ in range(RUNS + 1):  # in turn, so that all meet the same machine
        for command in commands:
            began = time.perf_counter()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            times[command].append(time.perf_counter() - began)
    base, *_ = medians = [statistics.median(times[command][1:]) for command in commands]
    for command, median in zip(commands, medians, strict=True):
        promise = f", promised {STARTS[command]:.1f}" if command in STARTS else ""
        print(f"{' '.join(command):28} {median * 1000:6.0f} ms  ratio {median / base:.2f}{promise}")


def pivot(bed: Bed) -> None:
    """Pivot the cluster and print the times; a probe from here sees what a client would."""
    from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect
    from kubectl_selfhost.cluster.prober import Prober

    with Prober(connect(ConnectionOptions(kubeconfig=str(bed.kubeconfig)))) as prober:
        run = bed.selfhost("pivot", "--yes")
        seen = prober.report()
    print(f"{'pivot':28} {run.seconds:6.1f} s")
    journal = bed.get("configmap", "kubectl-selfhost-journal", "--namespace=kube-system")
    for components in json.loads(journal["data"]["journal.json"])["nodes"].values():
        for component, facts in components.items():
            print(f"{'  ' + component:28} {facts['seconds']:6.1f} s")
    failures = ", ".join(f"{count} {kind}" for kind, count in seen.failures.items()) or "none"
    print(f"{'longest gap for a client':28} {seen.longest_gap:6.2f} s")
    print(f"{'requests':28} {seen.requests:6}    failures: {failures}")
    times = [run_status(bed) for _ in range(6)][1:]
    print(f"{'status (warm)':28} {statistics.median(times):6.2f} s")


def run_status(bed: Bed) -> float:
    """How long ``kubectl selfhost status`` takes, in seconds."""
    return bed.selfhost("status").seconds


if __name__ == "__main__":
    sys.exit(main())
