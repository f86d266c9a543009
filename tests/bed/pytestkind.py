"""Clusters made by pytest-kind, deleted when a test ends, however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bed import cache, cluster
from bed.command import output, say
from bed.harness import Bed

PREFIX = "selfhost-test-"  # then the number of the process that made it


@contextmanager
def running(kit: cluster.Kit, name: str, folder: Path, config: str = "") -> Iterator[Bed]:
    """Yield a cluster ``name``, Ready, for as long as the block runs; its files are in ``folder``.

    ``config`` is a kind configuration, completed for this machine. KEEP_CLUSTERS=1 in the
    environment leaves the cluster, for a look at what a test did to it.
    """
    from pytest_kind import KindCluster

    kubeconfig = folder / "kubeconfig"
    back = Path.cwd()
    os.chdir(folder)  # KindCluster makes a .pytest-kind in the working directory
    try:
        kind = KindCluster(
            name, kubeconfig=kubeconfig, kind_path=kit.kind, kubectl_path=kit.kubectl
        )
    finally:
        os.chdir(back)
    file = cluster.write_config(kit, config, folder / "kind.json")
    try:
        kind.create(file)
        bed = Bed(name, kubeconfig, kit.kubectl)
        cluster.wait_ready(kit.kubectl, context=bed.context, kubeconfig=kubeconfig)
        yield bed
    finally:
        if os.environ.get("KEEP_CLUSTERS"):
            kept = shutil.copy(kubeconfig, f"/tmp/{name}.kubeconfig")
            say(f"keeping {name}: export KUBECONFIG={kept}")
        else:
            _delete(kind)


def _delete(kind: Any) -> None:
    """Delete the cluster, with a second try: Docker may say that a container which has just ended
    is being removed already.
    """
    for last in (False, False, True):
        try:
            kind.delete()
            return
        except subprocess.CalledProcessError:
            if last:
                raise
            time.sleep(3)


def delete_orphans(kit: cluster.Kit) -> None:
    """Delete the clusters of test runs that were killed before they could."""
    with cache.lock("orphans"):  # each xdist worker comes here
        for name in output([kit.kind, "get", "clusters"]).split():
            process = name.removeprefix(PREFIX).partition("-")[0]
            if name.startswith(PREFIX) and process.isdigit() and not _alive(int(process)):
                say(f"deleting {name}, left by a test run that was killed")
                cluster.delete(name)


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()
