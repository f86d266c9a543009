"""A pivot that fails half-way ends with a working control plane and a sentence, and a second run
completes it.

test_before_the_switch.py has what fails before. test_failure_path.py counts what clients lose when a
hand-over fails.
"""

from __future__ import annotations

import random
import signal
import time

import pytest
from cluster import looks
from cluster.runs import (
    PIVOT,
    completes,
    ends_in_order,
    fails,
    wait_for_line,
    wait_until_midway,
)


@pytest.fixture
def bed(fresh_cluster):
    return fresh_cluster()


@pytest.mark.soak
def test_two_pivots_at_once(bed):
    first = bed.popen(*PIVOT)
    looks.eventually(lambda: looks.agent_pods(bed) != [], what="the first has not begun")
    said = fails(bed, *PIVOT, because="Another run of kubectl selfhost is in progress")
    assert "Wait until that run has ended" in said
    out, err = first.communicate(timeout=300)
    assert first.returncode == 0, out + err
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


@pytest.mark.soak
def test_the_agents_pod_is_deleted_midway(bed):
    """Each time before the old instance is stopped, which the run has still to ask the agent for."""
    for component in looks.COMPONENTS:
        run = bed.popen(*PIVOT)
        wait_until_midway(run, component)
        (pod,) = looks.agent_pods(bed)
        bed.kubectl("-n", "kube-system", "delete", "pod", pod["metadata"]["name"], "--wait=false")
        rest = run.communicate(timeout=300)[1]
        looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
        assert run.returncode == 1, rest
        assert "Somebody deleted the agent pod" in rest, rest
        looks.eventually(lambda c=component: c in looks.static_pods(bed), what="no static pod")
        bed.selfhost(*PIVOT, "--component", component)
    assert looks.works(bed)
    completes(bed)


#: Steps of a pivot after which the pivot still takes seconds.
STEPS = (
    "agent-program",
    "node-agent/",
    "label/",
    "guardian/",
    *(f"daemonset/{component}" for component in looks.COMPONENTS),
    "standby/",
    "keep-address/",
    *(f"hand-over/{component}" for component in looks.COMPONENTS[:2]),
)


@pytest.mark.soak
def test_ctrl_c_at_a_random_moment(bed):
    step, after = random.choice(STEPS), random.uniform(0.0, 2.0)
    print(f"Ctrl-C {after:.1f} s after the beginning of {step}")
    run = bed.popen(*PIVOT)
    wait_for_line(run, step)
    time.sleep(after)
    run.send_signal(signal.SIGINT)
    ends_in_order(bed, run)
    assert looks.works(bed)
    completes(bed)
