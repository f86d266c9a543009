"""The plugin is killed, in the middle of a switch or after a step; the next run goes on.

The plugin gets no chance to clean up: the node's agent, and the next run, keep the control plane
whole. A kill after each single step of the plan is for ``make soak``: it takes long.
"""

from __future__ import annotations

import re
import signal

import pytest
from cluster import looks

NODE = "{node}"
STEPS = (
    "agent-program",
    f"node-agent/{NODE}",
    f"label/{NODE}",
    f"guardian/{NODE}",
    "daemonset/kube-apiserver",
    "daemonset/kube-controller-manager",
    "daemonset/kube-scheduler",
    f"standby/{NODE}",
    f"keep-address/{NODE}",
    "hand-over/kube-apiserver",
    "hand-over/kube-controller-manager",
    "hand-over/kube-scheduler",
    f"end-agent/{NODE}",
    f"static-pods/{NODE}",
    f"release-address/{NODE}",
)
PIVOT = ("pivot", "--yes", "--timeout=90s")


@pytest.fixture
def bed(fresh_cluster):
    return fresh_cluster()


def killed_when(run, step: str, *, ended: bool) -> bool:
    """Kill the run as it says that ``step`` has begun (or ended); return False if it never says so.

    A later run may leave out a step that an earlier run has done, or do it again.
    """
    for line in run.stderr:
        print(line, end="")  # for whoever reads why it failed
        if step in line and (": done in" in line or ": already done" in line) == ended:
            run.send_signal(signal.SIGKILL)
            run.wait()
            return True
    run.wait()
    return False


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_a_step_further_each_time(bed):
    killed = []
    for step in STEPS:
        step = step.format(node=bed.node)
        if killed_when(bed.popen(*PIVOT), step, ended=True):
            killed.append(step)
        looks.eventually(lambda: looks.answers(bed), seconds=30, what=f"no API after {step}")
    assert set(killed) >= {s.format(node=bed.node) for s in STEPS[:9]}
    completes(bed)


def test_killed_in_the_middle_of_each_switch(bed):
    plan = bed.selfhost("pivot", "--dry-run=client").stdout
    assert re.findall(r"^ +(\d+)\. ", plan, re.MULTILINE)[-1] == str(len(STEPS))
    for component in looks.COMPONENTS:
        assert killed_when(bed.popen(*PIVOT), f"hand-over/{component}", ended=False)
        looks.eventually(lambda: looks.answers(bed), seconds=30, what=f"no API after {component}")
    completes(bed)


@pytest.mark.soak
@pytest.mark.parametrize("step", STEPS)
def test_killed_right_after_a_step(bed, step):
    assert killed_when(bed.popen(*PIVOT), step.format(node=bed.node), ended=True)
    completes(bed)


@pytest.mark.soak
@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_killed_in_the_middle_of_a_switch(bed, component):
    assert killed_when(bed.popen(*PIVOT), f"hand-over/{component}", ended=False)
    completes(bed)


def completes(bed) -> None:
    looks.eventually(lambda: looks.answers(bed), seconds=30, what="the API does not answer")
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, run
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.static_pods(bed) == {"etcd"}
    assert looks.agent_pods(bed) == []
    assert set(looks.kept_files(bed)) == {f"{c}.yaml" for c in looks.COMPONENTS}
    assert looks.works(bed)
