"""The plugin is killed right after each single step of its plan; a second run completes.

Nothing of the plugin gets a chance to clean up: what holds is the node's agent, and the next run.
"""

from __future__ import annotations

import signal

import pytest
from cluster import looks

NODE = "{node}"
STEPS = (
    "agent-program",
    f"node-agent/{NODE}",
    f"label/{NODE}",
    "daemonset/kube-apiserver",
    "daemonset/kube-controller-manager",
    "daemonset/kube-scheduler",
    f"standby/{NODE}",
    "hand-over/kube-apiserver",
    "hand-over/kube-controller-manager",
    "hand-over/kube-scheduler",
    f"end-agent/{NODE}",
)
PIVOT = ("pivot", "--yes", "--timeout=60s")


@pytest.fixture
def bed(fresh_cluster):
    return fresh_cluster()


def killed_when(run, step: str, *, ended: bool) -> str:
    """Kills the run as it says that ``step`` has begun (or ended); gives back what it had said."""
    said = ""
    for line in run.stderr:
        said += line
        if step in line and ("done in" in line) == ended:
            run.send_signal(signal.SIGKILL)
            run.wait()
            return said
    raise AssertionError(f"the step {step} was not seen:\n{said}")


@pytest.mark.parametrize("step", STEPS)
def test_killed_right_after_a_step(bed, step):
    step = step.format(node=bed.node)
    killed_when(bed.popen(*PIVOT), step, ended=True)
    is_up_and_completes(bed)


@pytest.mark.parametrize("component", looks.COMPONENTS)
def test_killed_in_the_middle_of_a_switch(bed, component):
    killed_when(bed.popen(*PIVOT), f"hand-over/{component}", ended=False)
    is_up_and_completes(bed)


def is_up_and_completes(bed) -> None:
    looks.eventually(lambda: looks.answers(bed), seconds=30, what="the API does not answer")
    run = bed.selfhost(*PIVOT, check=False)
    assert run.returncode == 0, run
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)
    assert looks.static_pods(bed) == {"etcd"}
    assert looks.agent_pods(bed) == []
    assert set(looks.kept_files(bed)) == {f"{c}.yaml" for c in looks.COMPONENTS}
    assert looks.works(bed)


def test_the_steps_of_the_plan_are_all_here(bed):
    plan = bed.selfhost("pivot", "--dry-run=client").stdout
    assert plan.count(". ") >= len(STEPS)
