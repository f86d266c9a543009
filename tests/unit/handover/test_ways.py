"""Which way a port changes hands, and what is said where the wanted one can't be."""

from __future__ import annotations

import pytest

from kubectl_selfhost.controlplane.component import (
    APISERVER,
    COMPONENTS,
    CONTROLLER_MANAGER,
    SCHEDULER,
)
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.handover import ways
from kubectl_selfhost.handover.ways import AUTO, SEAMLESS, SHARED, STEERED, WAITING, Choice

NEW = "6.18.0"
OWN = {"httpGet": {"port": 6443, "path": "/readyz", "scheme": "HTTPS"}}
TCP = {"tcpSocket": {"port": 6443}}
SIDE_CAR = {"name": "side", "image": "i", "args": ["--listen=:8083"]}


def pod(component=APISERVER, *flags: str, probe=OWN, **spec) -> dict:
    container = {"name": component.name, "image": "i", "command": [component.name, *flags]}
    if probe is not None:
        container["readinessProbe"] = probe
    return {
        "metadata": {"name": component.name, "labels": component.labels},
        "spec": {"hostNetwork": True, "containers": [container, *spec.pop("more", [])], **spec},
    }


def best(component=APISERVER, *, kernel="6.18.0-1-amd64", bound="0.0.0.0"):
    return ways.best(component, pod(component, f"--bind-address={bound}"), kernel=kernel)


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", ""])
def test_an_apiserver_on_all_addresses_goes_seamlessly(bound):
    assert best(bound=bound) == Choice(SEAMLESS)


def test_an_apiserver_on_one_address_shares_and_says_why():
    choice = best(bound="10.0.0.7")
    assert choice.way == SHARED
    assert "10.0.0.7" in choice.why


def test_who_is_not_called_from_outside_need_not_be_steered():
    assert best(SCHEDULER, bound="127.0.0.1") == Choice(SHARED)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("kernel", ["5.5.19", "4.18.0-553.el8.x86_64", "what?"])
def test_an_old_kernel_means_waiting(component, kernel):
    choice = best(component, kernel=kernel)
    assert choice.way == WAITING
    assert kernel in choice.why


@pytest.mark.parametrize("kernel", ["5.14.0-427.el9.x86_64", "5.15.0", "6.1.0", "10.0"])
def test_a_kernel_that_moves_connections_is_seamless(kernel):
    assert best(kernel=kernel) == Choice(SEAMLESS)


@pytest.mark.parametrize("kernel", ["5.6.0", "5.10.0-32-cloud-amd64", "5.13.19"])
def test_a_kernel_that_resets_connections_is_steered_and_says_so(kernel):
    choice = best(kernel=kernel)
    assert choice.way == STEERED
    assert choice.is_steered
    assert kernel in str(choice)
    assert "resets connections" in str(choice)
    assert "reset" in ways.unavailable(APISERVER, STEERED, pod())
    assert best(SCHEDULER, kernel=kernel) == Choice(SHARED)


def test_seamless_is_refused_where_connections_are_reset():
    with pytest.raises(SelfhostError, match=r"seamless: .*5\.10.* resets connections"):
        ways.choose(APISERVER, best(kernel="5.10.0"), SEAMLESS)


def test_auto_takes_the_best():
    assert ways.choose(APISERVER, Choice(SHARED, "why"), AUTO) == Choice(SHARED, "why")


def test_a_worse_way_can_be_asked_for():
    assert ways.choose(APISERVER, Choice(SEAMLESS), WAITING).way == WAITING


def test_a_better_one_is_refused_with_the_reason():
    with pytest.raises(SelfhostError, match=r"kube-apiserver .* seamless: it listens on one"):
        ways.choose(APISERVER, Choice(SHARED, "it listens on one address"), SEAMLESS)


def test_seamless_means_shared_for_the_others():
    assert ways.choose(SCHEDULER, Choice(SHARED), SEAMLESS) == Choice(SHARED)
    assert ways.choose(SCHEDULER, Choice(SHARED), STEERED) == Choice(SHARED)


def test_a_choice_in_words():
    assert str(Choice(WAITING, "old kernel")) == (
        "waiting (the new instance waits until the old instance has released the port; old kernel)"
    )


@pytest.mark.parametrize("probe", [TCP, {"exec": {"command": ["true"]}}, None])
def test_an_apiserver_whose_readiness_may_be_anothers_is_waited_for(probe):
    choice = ways.best(APISERVER, pod(probe=probe), kernel=NEW)
    assert choice.way == WAITING
    assert "readinessProbe" in choice.why


def test_it_may_be_asked_to_share_and_not_to_be_seamless():
    possible = ways.best(APISERVER, pod(probe=TCP), kernel=NEW)
    assert ways.choose(APISERVER, possible, SHARED).way == SHARED
    with pytest.raises(SelfhostError, match=r"seamless: .* its readinessProbe \(tcpSocket\)"):
        ways.choose(APISERVER, possible, SEAMLESS)


@pytest.mark.parametrize("component", [CONTROLLER_MANAGER, SCHEDULER])
@pytest.mark.parametrize(
    "made",
    [{"flags": ["--leader-elect=false"]}, {"more": [SIDE_CAR]}],
    ids=["no election", "side-car"],
)
@pytest.mark.parametrize("way", [ways.best, ways.best_of_ours])
def test_what_must_not_run_twice_waits_both_ways_and_cannot_be_asked_to_share(component, made, way):
    possible = way(
        component,
        pod(component, *made.get("flags", ()), more=made.get("more", [])),
        kernel=NEW,
    )
    assert possible.way == WAITING
    with pytest.raises(SelfhostError, match=r"shared: "):
        ways.choose(component, possible, SHARED)
    assert ways.choose(component, possible, WAITING) == possible


def test_a_daemonsets_pod_shares_by_itself_on_an_old_kernel():
    assert ways.best_of_ours(SCHEDULER, pod(SCHEDULER), kernel="4.18").way == SHARED


@pytest.mark.parametrize(
    ("component", "way", "flags", "said"),
    [
        (APISERVER, SEAMLESS, (), ""),
        (APISERVER, SHARED, (), "some requests, in the new API server's first second"),
        (APISERVER, WAITING, (), "the API, for one start of the API server"),
        (CONTROLLER_MANAGER, SHARED, (), "controllers, for up to 5 s"),
        (SCHEDULER, SHARED, (), "scheduling, for up to 5 s"),
        (
            SCHEDULER,
            WAITING,
            ("--leader-elect=false",),
            "scheduling, for one start of the scheduler",
        ),
        (
            CONTROLLER_MANAGER,
            WAITING,
            ("--leader-elect-retry-period=26s",),
            "one start of the controller-manager; for up to 57.2 s",
        ),
        (
            CONTROLLER_MANAGER,
            SHARED,
            ("--feature-gates=CoordinatedLeaderElection=true",),
            "controllers, for up to 30 s",
        ),
    ],
)
def test_what_clients_miss_follows_from_the_components_own_flags(component, way, flags, said):
    assert said in ways.unavailable(component, way, pod(component, *flags))


def test_a_shutdown_delay_puts_the_gap_off():
    slow = pod(APISERVER, "--shutdown-delay-duration=150s", terminationGracePeriodSeconds=240)
    assert "150 s after the old API server was told to end" in ways.unavailable(
        APISERVER, WAITING, slow
    )
