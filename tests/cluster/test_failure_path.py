"""A hand-over that fails, or that somebody stops, costs clients nothing.

Each run gets a component further than the runs before, on one cluster: the components before the failed
component are self-hosted by then. A probe counts requests and watches the EndpointSlices of the
`kubernetes` Service all the while. Clients are served by the apiserver alone, so the two others are for
the soak: the unit tests break the hand-over of each component in every way.
"""

from __future__ import annotations

import signal
import time

import pytest
from cluster import faults, looks
from cluster.probes import nothing_is_lost, probed
from cluster.runs import (
    LET_THROUGH,
    PIVOT,
    completes,
    ends_in_order,
    fails,
    wait_until_midway,
)

pytestmark = pytest.mark.alone

APISERVER_FIRST = [
    looks.COMPONENTS[0],
    *(pytest.param(one, marks=pytest.mark.soak) for one in looks.COMPONENTS[1:]),
]


@pytest.fixture(scope="module")
def bed(cluster):
    """Return one cluster for all of the module, in this order."""
    return cluster


@pytest.mark.parametrize("component", APISERVER_FIRST)
def test_a_hand_over_that_is_stopped_and_then_fails(bed, component):
    is_stopped_without_loss(bed, component)
    fails_without_loss(bed, component, faults.bad_flag(component))


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_components_that_never_get_ready(fresh_cluster):
    bed = fresh_cluster()
    for component in looks.COMPONENTS:
        fails_without_loss(bed, component, faults.never_ready(component))
    completes(bed)


def test_the_next_run_completes(bed):
    with probed(bed) as seen:
        completes(bed)
    nothing_is_lost(seen)


def is_stopped_without_loss(bed, component: str) -> None:
    """Press Ctrl-C in the component's hand-over."""
    with probed(bed) as seen:
        run = bed.popen(*PIVOT)
        wait_until_midway(run, component)
        run.send_signal(signal.SIGINT)
        ends_in_order(bed, run)
    nothing_is_lost(seen, ended=2)  # the static API server, and the self-hosted one on the way back
    assert looks.works(bed)


def fails_without_loss(bed, component: str, spoiled: str) -> None:
    """Run a pivot that fails at the component, as the API server applies the manifests ``spoiled``."""
    bed.kubectl("apply", "-f", "-", stdin=spoiled)
    time.sleep(2)
    with probed(bed) as seen:
        said = fails(bed, *LET_THROUGH, because=f"hand-over/{component}: failed")
        stays_static(bed, component, said)
    nothing_is_lost(seen, ended=2)
    assert said.rstrip().endswith(" again.")  # the last word is what to do
    bed.kubectl("delete", "-f", "-", stdin=spoiled)
    time.sleep(2)


def stays_static(bed, component: str, said: str) -> None:
    """Check that the components before the failed component are self-hosted, and the others static."""
    done = looks.COMPONENTS[: looks.COMPONENTS.index(component)]
    left = set(looks.COMPONENTS) - set(done)
    looks.eventually(
        lambda: looks.static_pods(bed) == {"etcd", *left},
        what=f"other static pods than {left} and etcd after\n{said}",
    )
    assert looks.self_hosted(bed) == set(done)
    assert looks.agent_pods(bed) == []
    assert looks.works(bed)
