"""What goes wrong on the way ends with a working control plane, a sentence, and a second run.

(What fails before anything is switched is in test_refusals.py.)
"""

from __future__ import annotations

import contextlib
import random
import signal
import time

import pytest
from cluster import faults, looks
from cluster.runs import LET_THROUGH, PIVOT, completes, fails


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


def test_the_agents_pod_is_deleted_midway(bed):
    for component in looks.COMPONENTS:
        run = bed.popen(*PIVOT)
        # It may come too late to stop this component's switch; then it stops the next one, or nothing.
        if not seen(run, f"hand-over/{component}"):
            continue
        with contextlib.suppress(Exception):
            for pod in looks.agent_pods(bed):
                name = pod["metadata"]["name"]
                bed.kubectl("-n", "kube-system", "delete", "pod", name, "--wait=false")
        rest = run.communicate(timeout=300)[1]
        looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
        if run.returncode != 0:
            assert "deleted by somebody" in rest, rest
    assert looks.works(bed)
    completes(bed)


def seen(run, text: str) -> bool:
    """Reads the run's stderr up to a line that has ``text``; False if there is none."""
    return any(text in line for line in run.stderr)


def test_ctrl_c_just_when(bed):
    """Each run gets a step further than the one before."""
    for moment in (
        "hand-over/kube-apiserver:",
        "... self-hosted kube-apiserver: Running",
        "the self-hosted kube-controller-manager prepares to lead",
        "lets its last requests finish",
    ):
        run = bed.popen(*PIVOT)
        if seen(run, moment):
            run.send_signal(signal.SIGINT)
        ends_in_order(bed, run)
    assert looks.works(bed)
    completes(bed)


def test_ctrl_c_at_a_random_moment(bed):
    after = random.uniform(1.0, 45.0)
    print(f"Ctrl-C after {after:.1f} s")
    run = bed.popen(*PIVOT)
    time.sleep(after)
    run.send_signal(signal.SIGINT)
    ends_in_order(bed, run)
    assert looks.works(bed)
    completes(bed)


def ends_in_order(bed, run) -> None:
    """The run says how it ended, and leaves no agent; the API answers."""
    out, err = run.communicate(timeout=300)
    assert "Traceback" not in err
    looks.eventually(lambda: looks.answers(bed), what="the API does not answer")
    if run.returncode != 0:
        assert run.returncode == 1, out + err
        assert looks.agent_pods(bed) == []
