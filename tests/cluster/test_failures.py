"""What goes wrong on the way ends with a working control plane, a sentence, and a second run.

(What fails before anything is switched is in test_refusals.py.)
"""

from __future__ import annotations

import random
import signal
import time

import pytest
from cluster import faults, looks
from cluster.runs import LET_THROUGH, PIVOT, completes, fails, wait_for_line


@pytest.fixture
def bed(fresh_cluster):
    return fresh_cluster()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "fault", [faults.bad_flag, pytest.param(faults.never_ready, marks=pytest.mark.soak)]
)
def test_a_component_that_can_not_run(bed, fault):
    """One after the other on one cluster: each run gets as far as its component."""
    for component in looks.COMPONENTS:
        manifests = fault(component)
        bed.kubectl("apply", "-f", "-", stdin=manifests)
        time.sleep(2)
        said = fails(bed, *LET_THROUGH, because=f"hand-over/{component}: failed")
        assert said.rstrip().endswith(" again.")  # the last word is what to do
        stays_static(bed, component, said)
        bed.kubectl("delete", "-f", "-", stdin=manifests)
        time.sleep(2)
    completes(bed)


def stays_static(bed, component: str, said: str) -> None:
    """The components before the failed one are self-hosted; it and those after it are static."""
    done = looks.COMPONENTS[: looks.COMPONENTS.index(component)]
    left = set(looks.COMPONENTS) - set(done)
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *left},
        what=f"other static pods than {left} and etcd after\n{said}",
    )
    assert looks.self_hosted(bed) == set(done)
    assert looks.agent_pods(bed) == []
    assert looks.works(bed)


def test_two_pivots_at_once(bed):
    first = bed.popen(*PIVOT)
    looks.eventually(lambda: looks.agent_pods(bed) != [], what="the first has not begun")
    said = fails(bed, *PIVOT, because="Another run of kubectl selfhost is going on")
    assert "Wait until it has ended" in said
    out, err = first.communicate(timeout=300)
    assert first.returncode == 0, out + err
    assert looks.self_hosted(bed) == set(looks.COMPONENTS)


#: Seconds after which a hand-over has begun, and has still to stop the old instance: the new one must
#: get Ready first, and prepare to lead.
MIDWAY = {"kube-apiserver": 1.0, "kube-controller-manager": 2.0, "kube-scheduler": 2.0}


def wait_until_midway(run, component: str) -> None:
    wait_for_line(run, f"hand-over/{component}:")
    time.sleep(MIDWAY[component])


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
        assert "deleted by somebody" in rest, rest
        looks.eventually(lambda c=component: c in looks.static_pods(bed), what="no static pod")
        bed.selfhost(*PIVOT, "--component", component)
    assert looks.works(bed)
    completes(bed)


def test_ctrl_c_just_when(bed):
    """Each run gets a step further than the one before."""
    for component in looks.COMPONENTS:
        run = bed.popen(*PIVOT)
        wait_until_midway(run, component)
        run.send_signal(signal.SIGINT)
        ends_in_order(bed, run)
    assert looks.works(bed)
    completes(bed)


#: Steps of a pivot after which it has still seconds to go.
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


def ends_in_order(bed, run) -> None:
    """The run was stopped, says so, and leaves no agent; the API answers."""
    out, err = run.communicate(timeout=300)
    assert "Traceback" not in err
    assert run.returncode == 1, out + err
    assert "Stopped by you at the step" in err, err
    looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
    assert looks.agent_pods(bed) == []
