"""``make bench``: start-up ratios, a pivot's times, three nodes beside one, and each way beside the
others."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bed import cluster, pytestkind
from bed.bench import nodes, pivot, rounds, start_up, table
from bed.bench.ways import WAYS
from bed.command import BedError, say

BASE = "seamless"
NODES = "nodes"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each way")
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, NODES], help="only these")
    parser.add_argument("--out", type=Path, help="a file for all that was seen, as JSON")
    arguments = parser.parse_args()
    # A shell may have started this process in the background, deaf to SIGINT. Its children inherit
    # this, and SIGINT ends the probe.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        data, failed = _bench(arguments.ways, arguments.rounds)
    except BedError as error:
        say(f"error: {error}")
        return 1
    except AssertionError as error:  # the plugin's failure, with what it said
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    if arguments.out:
        arguments.out.write_text(json.dumps(data, indent=1) + "\n")
    return 1 if failed else 0


def _bench(chosen: Sequence[str], count: int) -> tuple[dict[str, Any], bool]:
    """Measure and print; return what was seen, and whether a way failed."""
    busy, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if busy > cpus / 4:
        say(
            f"the machine is busy (load {busy:.1f} on {cpus} CPUs): the numbers will tell of that, too"
        )
    data: dict[str, Any] = {"load": busy, "cpus": cpus}
    with tempfile.TemporaryDirectory(prefix="selfhost-bench-") as place:
        if not chosen:
            data["startUp"] = start_up.measure(Path(place))
        kit = cluster.prepare()
        if not chosen:
            with pytestkind.running(kit, _name("pivot"), Path(place)) as bed:
                data["pivot"] = pivot.measure(bed)
        if not chosen or NODES in chosen:
            folder = Path(place) / NODES
            folder.mkdir()
            with pytestkind.running(kit, _name(NODES), folder, nodes.KIND_CONFIG) as bed:
                data[NODES] = nodes.measure(bed)
    wanted = [name for name in WAYS if name in (chosen or WAYS)]
    data["ways"] = _compare(kit, wanted, count) if wanted else {}
    every = [one for way in data["ways"].values() for one in way]
    return data, any(one["error"] for one in every)


def _compare(kit: cluster.Kit, names: Sequence[str], count: int) -> dict[str, list[dict[str, Any]]]:
    """Play the rounds, the ways in turn, so that all meet the same machine; print the tables."""
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(1, count + 1):
        for name in names:
            say(f"round {number} of {count}: {WAYS[name].title}")
            with tempfile.TemporaryDirectory(prefix="selfhost-bench-") as folder:
                played = rounds.play(kit, _name(f"{name}-{number}"), WAYS[name], Path(folder))
            seen[name].append(played.data)
    titled = {WAYS[name].title: every for name, every in seen.items()}
    for title, every in titled.items():
        print("\n" + "\n".join(table.way_lines(title, every)))
    if BASE in names:
        print("\n" + "\n".join(table.ratio_lines(titled, BASE)))
    print("\n" + "\n".join(table.NOTES), flush=True)
    return seen


def _name(what: str) -> str:
    return f"{pytestkind.PREFIX}{os.getpid()}-bench-{what}"


if __name__ == "__main__":
    sys.exit(main())
