"""How long a component takes, by its own flags."""

from __future__ import annotations

from copy import deepcopy

import pytest

from kubectl_selfhost.controlplane.component import APISERVER, CONTROLLER_MANAGER, SCHEDULER
from kubectl_selfhost.controlplane.pod import staticpod
from kubectl_selfhost.controlplane.side_by_side import pace


@pytest.fixture
def pod(manifest):
    def make(component, *flags: str, grace: int | None = None) -> dict:
        made = deepcopy(manifest("1.37", component))
        staticpod.component_container(made)["command"] += flags
        if grace is not None:
            made["spec"]["terminationGracePeriodSeconds"] = grace
        return made

    return make


@pytest.mark.parametrize(
    ("delay", "grace", "seconds"),
    [
        ("", None, 0.0),
        ("10s", None, 10.0),
        ("150s", 240, 150.0),
        ("2m30s", 240, 150.0),
        ("150s", None, 30.0),  # the kubelet kills it
        ("150s", 0, 0.0),
        ("soon", 240, 0.0),
    ],
)
def test_how_long_an_apiserver_goes_on_to_listen(pod, delay, grace, seconds) -> None:
    flags = [f"--shutdown-delay-duration={delay}"] if delay else []
    static = pod(APISERVER, *flags, grace=grace)
    assert pace.listens_on(APISERVER, static) == seconds
    assert pace.slack(APISERVER, static) == seconds


@pytest.mark.parametrize(
    ("flags", "seconds"),
    [
        ((), 0.0),
        (("--leader-elect-retry-period=4s",), 0.0),
        (("--leader-elect-retry-period=26s",), 57.2),
        (("--leader-elect-retry-period=60s",), 132.0),
        (("--leader-elect-retry-period=60s", "--leader-elect=false"), 0.0),
    ],
)
def test_what_a_long_retry_adds_to_a_switch(pod, flags, seconds) -> None:
    assert pace.slack(CONTROLLER_MANAGER, pod(CONTROLLER_MANAGER, *flags)) == seconds


@pytest.mark.parametrize(
    ("gates", "used"),
    [
        ("CoordinatedLeaderElection=true", True),
        ("A=true, CoordinatedLeaderElection=true ,B=false", True),
        ("CoordinatedLeaderElection=false", False),
        ("A=true", False),
        ("", False),
    ],
)
def test_coordinated_leader_election(pod, gates, used) -> None:
    flags = [f"--feature-gates={gates}"] if gates else []
    assert pace.uses_coordinated_election(pod(SCHEDULER, *flags)) is used
