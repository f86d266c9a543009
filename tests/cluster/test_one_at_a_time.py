"""Components that must not run twice: a controller-manager and a scheduler without leader election.

Two of them at work at once would both bind pods and make pods. A process that listens on a
component's port is at work: it listens before it works, until it ends.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bed.harness import Bed
from cluster import looks

KIND_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs: [{name: leader-elect, value: "false"}]
  scheduler:
    extraArgs: [{name: leader-elect, value: "false"}]
"""
#: Ports 10257 and 10259 as /proc/net/tcp has them; 0A is a socket that listens.
_COUNT = """
for port in 2811 2813; do
  cat /proc/net/tcp /proc/net/tcp6 | awk -v p=":$port" '$2 ~ p"$" && $4 == "0A"' | wc -l
done | xargs
"""
_WATCH = f"while :; do {_COUNT} sleep 0.02; done"


class Listeners:
    """The number of listeners at the same time, on each of the two ports, in each look."""

    def __init__(self, lines: list[str]) -> None:
        self.looks = [tuple(map(int, line.split())) for line in lines if len(line.split()) == 2]

    @property
    def most(self) -> int:
        return max(max(look) for look in self.looks)

    @property
    def gaps(self) -> list[float]:
        """Return the longest time, in seconds, in which nobody listened, on each port."""
        every = 1.0 / max(1, len(self.looks)) * self.seconds
        found = []
        for port in range(2):
            longest = now = 0
            for look in self.looks:
                now = now + 1 if look[port] == 0 else 0
                longest = max(longest, now)
            found.append(longest * every)
        return found

    seconds = 0.0


@contextmanager
def watched(bed: Bed) -> Iterator[Listeners]:
    """Count the listeners while the block runs."""
    argv = ["docker", "exec", bed.node, "sh", "-c", _WATCH]
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watch:
        seen = Listeners([])
        try:
            yield seen
        finally:
            watch.kill()
            out = watch.stdout.read() if watch.stdout else ""
    seen.seconds = time.monotonic() - began
    seen.looks = Listeners(out.splitlines()).looks
    assert len(seen.looks) > 20
    subprocess.run(["docker", "exec", bed.node, "pkill", "-f", "cat /proc/net/tcp"], check=False)


def listening(bed: Bed) -> list[int]:
    return list(map(int, bed.node_exec("sh", "-c", _COUNT).split()))


def never_two(seen: Listeners, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        gaps = ", ".join(f"{gap:.1f} s" for gap in seen.gaps)
        print(f"\n{what}: at most {seen.most} at once in {len(seen.looks)} looks; gaps {gaps}")
    assert seen.most == 1


@pytest.fixture
def pivoted(cluster: Bed) -> Bed:
    """Return the cluster self-hosted, even if the tests before were left out."""
    if looks.self_hosted(cluster) != set(looks.COMPONENTS):
        cluster.selfhost("pivot", "--yes")
    return cluster


def test_a_pivot_says_so_and_never_runs_two(cluster: Bed, capsys):
    plan = cluster.selfhost("pivot", "--dry-run=server")
    said = " ".join((plan.stdout + plan.stderr).split())
    assert "without leader election two instances would work at the same time" in said
    assert "gets no recovery copy" in said
    with watched(cluster) as seen:
        cluster.selfhost("pivot", "--yes")
    never_two(seen, "pivot", capsys)
    assert looks.self_hosted(cluster) == set(looks.COMPONENTS)
    assert looks.works(cluster)


def test_a_roll_out_never_runs_two(cluster: Bed, capsys):
    with watched(cluster) as seen:
        cluster.selfhost("rollout", "--yes")
    never_two(seen, "rollout", capsys)
    assert looks.works(cluster)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_roll_out_that_fails_never_runs_two_and_goes_back(cluster: Bed, capsys):
    component = "kube-controller-manager"
    with watched(cluster) as seen:
        run = cluster.selfhost(
            *("rollout", component, "--yes", "--timeout=60s"),
            "--set-flag=no-such-flag=1",
            check=False,
        )
        assert run.returncode == 1, str(run)
        assert "can't run" in run.stderr, str(run)
    never_two(seen, "failed rollout", capsys)
    looks.eventually(lambda: looks.self_hosted(cluster) == set(looks.COMPONENTS))
    assert looks.works(cluster)


@pytest.mark.soak
@pytest.mark.usefixtures("pivoted")
def test_a_reboot_never_runs_two(cluster: Bed, capsys):
    subprocess.run(["docker", "restart", cluster.node], check=True, capture_output=True)
    with watched(cluster) as seen:
        # For a while the API shows the pods as they were before the reboot.
        looks.eventually(lambda: listening(cluster) == [1, 1], seconds=300, what="not at work")
        looks.eventually(
            lambda: looks.self_hosted(cluster) == set(looks.COMPONENTS),
            seconds=300,
            what="not healed",
        )
        looks.eventually(
            lambda: looks.recovery_pods(cluster) == {looks.GUARDIAN},
            seconds=300,
            what="a recovery copy is left",
        )
    never_two(seen, "reboot", capsys)
    assert looks.works(cluster)


def test_a_revert_never_runs_two(cluster: Bed, capsys):
    with watched(cluster) as seen:
        cluster.selfhost("revert", "--yes")
    never_two(seen, "revert", capsys)
    assert looks.static_pods(cluster) == {"etcd", *looks.COMPONENTS}
    assert looks.works(cluster)
