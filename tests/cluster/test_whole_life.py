"""A whole life of a self-hosted control plane, on each Kubernetes version that the bed can build.

`make matrix` runs this module and writes what it saw to ``kubectl_selfhost/tested.json`` and
``docs/tested.md``. Nothing but this module writes there: a row is a run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from bed import cluster as bed_cluster
from bed import pytestkind, tested, versions
from bed.harness import Bed
from cluster import looks

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(3600)]

ANSWERED = 180.0
HEALED = 420.0


#: kubeadm plans an upgrade to a pre-release version, and to the version that runs, only if told to.
_EVERY_VERSION = ("--allow-experimental-upgrades", "--allow-release-candidate-upgrades")


@pytest.mark.parametrize("release", versions.RELEASES, ids=lambda one: one.kubernetes)
def test_a_whole_life(release: versions.Release, tmp_path: Path) -> None:
    kit = bed_cluster.prepare(release)
    name = f"{pytestkind.PREFIX}{os.getpid()}-life-{release.minor}"
    with pytestkind.running(kit, name, tmp_path) as bed:
        row = _row(bed)
        files = looks.manifest_files(bed)
        _run(bed, row, "pivot")
        assert looks.self_hosted(bed) == set(looks.COMPONENTS)
        assert looks.static_pods(bed) == {"etcd"}
        bed.selfhost("status")
        _run(bed, row, "rollout")
        row["apiBack"]["restart"] = _comes_back(bed, "restart")
        row["apiBack"]["power cut"] = _comes_back(bed, "kill")
        _run(bed, row, "revert", "--from-backup")
        assert looks.manifest_files(bed) == files
        assert looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}
        assert looks.works(bed)
        bed.node_exec("kubeadm", "upgrade", "plan", release.kubernetes, *_EVERY_VERSION)
        tested.add(row)


def _row(bed: Bed) -> dict[str, Any]:
    info = bed.get("node", bed.node)["status"]["nodeInfo"]
    return {
        "kubernetes": info["kubeletVersion"],
        "kernel": info["kernelVersion"],
        "cpu": info["architecture"],
        "runtime": info["containerRuntimeVersion"],
        "os": info["osImage"],
        "machine": "container",
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "command": f"make matrix KUBERNETES={info['kubeletVersion']}",
        "runs": {},
        "apiBack": {},
    }


def _run(bed: Bed, row: dict[str, Any], verb: str, *flags: str) -> None:
    """Run a verb that changes the control plane; add to ``row`` what clients saw meanwhile."""
    words = ("probe", "--rate=20", "--duration=30m", "--output=json")
    with bed.popen(*words) as probe:
        try:
            time.sleep(3.0)
            run = bed.selfhost(verb, *flags, "--yes", check=False)
            time.sleep(3.0)
            probe.send_signal(signal.SIGINT)
            out, err = probe.communicate(timeout=60)
        except BaseException:
            probe.kill()
            raise
    assert run.returncode == 0, str(run)
    assert out, err
    total = json.loads(out)["total"]
    row["runs"][verb] = {
        "seconds": round(run.seconds, 1),
        "requests": total["requests"],
        "failed": total["failed"],
        "longestGap": total["longestGap"],
    }


def _comes_back(bed: Bed, how: str) -> float:
    """Restart the node, or cut its power; return the seconds until the API answers again."""
    subprocess.run(["docker", how, bed.node], check=True, capture_output=True)
    if how == "kill":
        subprocess.run(["docker", "start", bed.node], check=True, capture_output=True)
    began = time.monotonic()
    looks.eventually(lambda: looks.answers(bed), seconds=ANSWERED, what="no API")
    answered = time.monotonic() - began
    looks.eventually(lambda: _is_as_after_a_pivot(bed), seconds=HEALED, what="not healed")
    assert looks.works(bed)
    return round(answered, 1)


def _is_as_after_a_pivot(bed: Bed) -> bool:
    status = bed.selfhost("status", "--output=json", check=False)
    return (
        status.returncode == 0
        and looks.self_hosted(bed) == set(looks.COMPONENTS)
        and looks.recovery_pods(bed) == {looks.GUARDIAN}
    )
