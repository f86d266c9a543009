"""How fast the plugin starts, beside kubectl itself."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from bed import golang
from bed.harness import path_with_plugin

RUNS = 15  # of each command; the median counts
STARTS = {  # command: the ratio to kubectl's own that is promised
    ("kubectl", "selfhost", "--version"): 2.0,
    ("kubectl", "selfhost", "--help"): 2.5,
}


def measure(folder: Path) -> dict[str, Any]:
    """Print the start-up times, and their ratios to kubectl's time; return them by command.

    ``folder`` gets the program that kubectl looks for.
    """
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
    return {
        " ".join(command): {"seconds": round(median, 4), "ratio": round(median / base, 3)}
        for command, median in zip(commands, medians, strict=True)
    }
