"""One round: a new cluster that is pivoted in one way, with clients of its API all the while."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed import cluster as bed_cluster
from bed import pytestkind
from bed.bench.http2 import Writer
from bed.bench.leaders import Leaders
from bed.bench.table import BEFORE
from bed.bench.ways import Ran, Way
from bed.command import say
from bed.harness import Bed
from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.kinds import CONFIGMAPS
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect
from kubectl_selfhost.names import NAMESPACE, PROBE

RATE = 50  # new connections a second, from here and from a pod
AFTER = 10.0  # seconds of clients after the end: the Service may get its address back so late
LEADERS = 120.0  # seconds that a leader may take to come, after the way's end
PROBE_STARTS = 60.0
PROBE_ENDS = 90.0


@dataclass(frozen=True)
class Round:
    """The result of a round: the way's own account, the Probe document, the HTTP/2 writer's report,
    and by component for how many seconds nobody led and how often the leader changed.
    """

    ran: Ran
    probe: dict[str, Any]
    http2: dict[str, Any]
    leaderless: dict[str, float]
    leaders: dict[str, int]

    @property
    def data(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "seconds": round(self.ran.seconds, 2),
            "components": {name: round(took, 2) for name, took in self.ran.components.items()},
            "error": self.ran.error,
            "probe": self.probe,
            "http2": self.http2,
            "leaderless": {name: round(took, 2) for name, took in self.leaderless.items()},
            "leaderChanges": self.leaders,
        }


def play(kit: bed_cluster.Kit, name: str, way: Way, folder: Path) -> Round:
    """Play one round of ``way`` on a cluster ``name`` whose files are in ``folder``.

    The result says if the way failed. Raise AssertionError if the clients could not look.
    """
    with pytestkind.running(kit, name, folder) as bed:
        options = ConnectionOptions(kubeconfig=str(bed.kubeconfig))
        api = connect(options)
        probed: list[dict[str, Any]] = []
        with (
            _probe(bed, api, folder, probed),
            Leaders(api, bed.node) as leaders,
            Writer(api, connect(options).transport.login) as writer,
        ):
            time.sleep(BEFORE)
            ran = way.go(bed, api)
            say(f"  {way.title}: {ran.error or f'done in {ran.seconds:.1f} s'}")
            if not leaders.wait(limit=LEADERS):
                say(f"  nobody leads {LEADERS:.0f} s later")
            time.sleep(AFTER)
        return Round(ran, probed[0], writer.report(), leaders.seconds(), leaders.changes())


@contextmanager
def _probe(bed: Bed, api: Cluster, folder: Path, seen: list[dict[str, Any]]) -> Iterator[None]:
    """Run ``kubectl selfhost probe`` during the block; add its document to ``seen`` at the end."""
    said = folder / "probe.err"
    argv = ["probe", f"--rate={RATE}", "--duration=0", "--in-cluster", "--output=json"]
    with said.open("w") as stderr, bed.popen(*argv, stderr=stderr) as probe:
        try:
            _wait_until_it_writes(api, probe, said)
            yield
        except BaseException:
            probe.kill()
            raise
        probe.send_signal(signal.SIGINT)
        try:
            out, _ = probe.communicate(timeout=PROBE_ENDS)
        except subprocess.TimeoutExpired:
            probe.kill()
            raise AssertionError(f"the probe did not end in {PROBE_ENDS:.0f} s") from None
    assert out, f"the probe ended with {probe.returncode}:\n{said.read_text()}"
    seen.append(json.loads(out))
    assert seen[0]["inCluster"], f"the probe's pod saw nothing: {seen[0]['remarks']}"


def _wait_until_it_writes(api: Cluster, probe: subprocess.Popen, said: Path) -> None:
    """Wait until the probe writes; by then its pod runs, too."""
    deadline = time.monotonic() + PROBE_STARTS
    while not any(
        one["metadata"]["name"].startswith(f"{PROBE}-") for one in api.list(CONFIGMAPS, NAMESPACE)
    ):
        given_up = probe.poll() is not None or time.monotonic() > deadline
        assert not given_up, f"the probe doesn't start:\n{said.read_text()}"
        time.sleep(0.2)
