"""A pivoted node that is restarted, or loses what runs on it, recovers by itself: nobody touches
it.

Each test ends when the DaemonSets alone serve, and prints when the API first answered.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from bed.harness import Bed
from cluster import looks, runs

#: Until the copies have gone again: they stand for 30 s beside what the kubelet has brought back, and
#: its own back-off for pods that were killed can be longer than that.
HEALED = 300.0
RECOVERED = 120.0


@pytest.fixture(scope="module")
def bed(cluster: Bed) -> Bed:
    run = cluster.selfhost("pivot", "--yes", check=False)
    assert run.returncode == 0, str(run)
    return cluster


@pytest.fixture
def heals(bed: Bed, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Return a function that waits for the API, prints when it answered, and waits for the state
    after a pivot.
    """

    def wait(what: str, limit: float = RECOVERED) -> None:
        began = time.monotonic()
        try:
            looks.eventually(lambda: looks.answers(bed), seconds=limit, what="no API")
            answered = time.monotonic() - began
            looks.eventually(lambda: is_as_after_a_pivot(bed), seconds=HEALED, what="not healed")
        except AssertionError as error:
            pytest.fail(f"{what}: {error}\n{_state(bed)}")
        with capsys.disabled():
            whole = time.monotonic() - began
            print(f"\n{what}: the API answered after {answered:.1f} s, healed after {whole:.0f} s")
        assert looks.works(bed)

    return wait


def is_as_after_a_pivot(bed: Bed) -> bool:
    return (
        looks.self_hosted(bed) == set(looks.COMPONENTS)
        and looks.recovery_pods(bed) == {looks.GUARDIAN}
        and set(looks.manifest_files(bed)) == {"etcd.yaml", f"{looks.GUARDIAN}.yaml"}
    )


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True)


def kill_components(bed: Bed) -> None:
    """Kill their processes, all at once: the kubelet sees this of a container that is killed."""
    words = "|".join(looks.COMPONENTS)
    bed.node_exec("pkill", "-9", "-f", f"^({words}) ")


def journal(bed: Bed) -> list[dict]:
    lines = bed.node_exec("cat", f"{looks.KEPT}/journal").splitlines()
    return [json.loads(line) for line in lines]


def test_a_restart_of_the_node(bed, heals):
    docker("restart", bed.node)
    heals("restart")
    events = [e["event"] for e in journal(bed) if e["component"] == "kube-apiserver"]
    assert events[-2:] == ["recovery-placed", "recovery-taken"]


@pytest.mark.soak
def test_a_power_cut(bed, heals):
    docker("kill", bed.node)
    docker("start", bed.node)
    heals("power cut")


@pytest.mark.soak
def test_a_second_restart_while_it_recovers_from_the_first(bed, heals):
    docker("restart", bed.node)
    looks.eventually(
        lambda: "kubectl-selfhost-recovery-kube-apiserver.yaml" in looks.manifest_files(bed),
        seconds=RECOVERED,
        what="no copy came",
    )
    docker("kill", bed.node)
    docker("start", bed.node)
    heals("two restarts in a row")


def test_all_components_are_killed_at_once(bed, heals):
    kill_components(bed)
    heals("components killed")


@pytest.mark.soak
def test_etcd_is_down_for_a_minute(bed, heals):
    bed.node_exec("pkill", "-STOP", "-f", "^etcd ")
    time.sleep(60)
    bed.node_exec("pkill", "-CONT", "-f", "^etcd ")
    heals("etcd down")


@pytest.mark.soak
def test_etcds_manifest_is_away_for_a_minute(bed, heals):
    """The kubelet can't delete etcd's mirror pod meanwhile, and starts etcd again only after that: it
    took 124 s on a cluster that was not pivoted, on the same machine."""
    bed.node_exec("mv", f"{looks.MANIFESTS}/etcd.yaml", "/root/etcd.yaml")
    time.sleep(60)
    bed.node_exec("mv", "/root/etcd.yaml", f"{looks.MANIFESTS}/etcd.yaml")
    heals("etcd's manifest away", limit=300.0)


@pytest.mark.soak
def test_all_pods_of_the_control_plane_are_deleted(bed, heals):
    pods = [looks.ready_pods(bed, f"self-hosted-{c}")[0] for c in looks.COMPONENTS]
    bed.kubectl("-n", "kube-system", "delete", "pod", "--wait=false", *pods)
    looks.eventually(lambda: not looks.answers(bed), seconds=60, what="the API did not go")
    heals("pods deleted")


@pytest.mark.soak
@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_a_service_is_restarted(bed, heals, unit):
    before = [e["event"] for e in journal(bed)]
    bed.node_exec("systemctl", "restart", unit)
    heals(f"{unit} restarted")
    assert [e["event"] for e in journal(bed)] == before


@pytest.mark.soak
def test_pods_that_a_graceful_shutdown_marked_failed_are_made_anew(bed, heals):
    """The controller-manager and the scheduler are needed for that: their copies do it."""
    failed = {"status": {"phase": "Failed", "reason": "Terminated", "message": "node shutdown"}}
    pods = [looks.ready_pods(bed, f"self-hosted-{c}")[0] for c in looks.COMPONENTS]
    bed.node_exec("systemctl", "stop", "kubelet")
    for pod in pods:
        bed.kubectl(
            *("-n", "kube-system", "patch", "pod", pod, "--subresource=status", "--type=merge"),
            *("-p", json.dumps(failed)),
        )
    docker("restart", bed.node)
    heals("graceful shutdown")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_power_cut_in_the_middle_of_each_step_of_a_pivot(fresh_cluster):
    bed = fresh_cluster()
    for step in (f"label/{bed.node}", "daemonset/kube-scheduler", *_switches("hand-over")):
        cut_during(bed, ("pivot", "--yes"), step)
    runs.completes(bed)
    looks.eventually(lambda: is_as_after_a_pivot(bed), seconds=HEALED, what=_state(bed))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_power_cut_in_the_middle_of_each_step_of_a_roll_out(bed):
    for step in _switches("roll-out"):
        cut_during(bed, ("rollout", "--yes"), step)
        looks.eventually(lambda: is_as_after_a_pivot(bed), seconds=HEALED, what=_state(bed))
    run = bed.selfhost("rollout", "--yes", check=False)
    assert run.returncode == 0, str(run)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_power_cut_in_the_middle_of_each_step_of_a_revert(bed):
    for step in _switches("hand-over"):
        cut_during(bed, ("revert", "--yes"), step)
    run = bed.selfhost("revert", "--yes", check=False)
    assert run.returncode == 0, str(run)
    assert looks.static_pods(bed) == {"etcd", *looks.COMPONENTS}
    assert looks.works(bed)
    runs.completes(bed)


def _switches(verb: str) -> list[str]:
    return [f"{verb}/{component}" for component in looks.COMPONENTS]


def cut_during(bed: Bed, words: tuple[str, ...], step: str) -> None:
    """Cut the node's power while a run is in ``step`` (or there is no such step any more)."""
    with bed.popen(*words) as run:
        begun = any(step in line for line in run.stderr)
        if begun:
            time.sleep(1.0)  # in the middle of it
            docker("kill", bed.node)
        run.kill()
        run.communicate()
    if not begun:
        return
    docker("start", bed.node)
    began = time.monotonic()
    looks.eventually(lambda: looks.answers(bed), seconds=RECOVERED, what=_state(bed))
    print(f"cut in {step}: the API answered after {time.monotonic() - began:.1f} s")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_minutes_of_kills(bed, heals):
    """Whatever comes, again and again, and as soon as the API answers again."""
    seed = time.time_ns() % 10**6
    chance = random.Random(seed)
    print(f"seed {seed}")
    kinds: dict[str, Callable[[], object]] = {
        "restart": lambda: docker("restart", bed.node),
        "power cut": lambda: (docker("kill", bed.node), docker("start", bed.node)),
        "all components": lambda: kill_components(bed),
        **{
            component: partial(bed.node_exec, "pkill", "-9", "-f", f"^{component} ")
            for component in looks.COMPONENTS
        },
        "kubelet": lambda: bed.node_exec("systemctl", "kill", "--signal=KILL", "kubelet"),
        "containerd": lambda: bed.node_exec("systemctl", "kill", "--signal=KILL", "containerd"),
        "guardian": lambda: bed.node_exec("pkill", "-9", "-f", " guard --dir"),
    }
    ends = time.monotonic() + 20 * 60
    slowest = 0.0
    while time.monotonic() < ends:
        kind = chance.choice(list(kinds))
        with suppress(AssertionError):  # what is to be killed may not be there just now
            kinds[kind]()
        began = time.monotonic()
        looks.eventually(
            lambda: looks.answers(bed), seconds=RECOVERED, what=f"{kind} {_state(bed)}"
        )
        took = time.monotonic() - began
        slowest = max(slowest, took)
        print(f"{kind}: the API answered after {took:.1f} s")
        time.sleep(chance.uniform(0, 40))
    heals(f"20 minutes of kills (the slowest took {slowest:.1f} s)", limit=RECOVERED)


def _state(bed: Bed) -> str:
    """Return what there is to look at if the node doesn't recover."""
    script = (
        "ls /etc/kubernetes/manifests; "
        f"tail -n 6 {looks.KEPT}/journal; "
        "tail -n 20 /var/log/pods/kube-system_kubectl-selfhost-guardian*/guardian/*.log"
    )
    try:
        return bed.node_exec("sh", "-c", script)
    except AssertionError as error:
        return str(error)
