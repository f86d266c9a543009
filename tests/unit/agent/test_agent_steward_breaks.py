"""Who serves when an instance, or the agent that steers, breaks or is killed; and how it goes on."""

from __future__ import annotations

import itertools
import signal
import time

import pytest
from agent_node import eventually
from shared_port import LOOPBACK, OUTSIDE, OWN, PROBE, Clients, SharedPort, end, settled, who


def test_an_old_instance_that_crashes_can_come_back(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        end(old, signal.SIGKILL)
        settled(port.steward, "none")
        assert port.node.status()["steward_reason"] == "the old instance stopped listening"
        assert not port.migrates()
        port.old()
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"old"}


def test_the_new_one_serves_when_the_old_one_crashes(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
        end(old, signal.SIGKILL)
        settled(port.steward, "none")
        assert who(*OUTSIDE) == {"new"}
        assert "the old instance stopped listening" in port.steer()["error"]


@pytest.mark.parametrize("delay", [0, 0.01, 0.02])
def test_steering_just_as_the_old_one_crashes(port: SharedPort, delay: float) -> None:
    """The kernel has moved the new one already when the steward is told to steer.

    A client loses the connection that the old one had accepted, and one that was in its queue: the
    kernel closes what a killed process has open in reverse order (since 4.3), the listener last.
    """
    old = port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
        with Clients(*OUTSIDE) as clients:
            settled(lambda: all(clients.by_client.values()), wanted=True)
            end(old, signal.SIGKILL)
            time.sleep(delay)
            port.steer()
            time.sleep(0.2)
    for answers in clients.by_client.values():
        in_order = [answer for answer, _ in itertools.groupby(answers)]
        assert in_order in (["old", "new"], ["old", "nobody", "new"])
        assert answers.count("nobody") <= 2


def test_a_killed_agent_finds_its_steward_again_before_the_new_one_listens(
    port: SharedPort,
) -> None:
    port.old()
    with port.serving():
        port.share()
    assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"old"}
    with port.serving():
        settled(lambda: who(PROBE), {"nobody"})
        assert who(*OUTSIDE, *LOOPBACK) == {"old"}
        port.new()
        eventually(port.steers_to_new)
        assert port.steer()["phase"] == "steered"
        assert who(*OUTSIDE) == {"new"}


@pytest.mark.parametrize("while_away", [False, True])
def test_a_killed_agent_finds_its_steward_again_after_it(
    port: SharedPort, while_away: bool
) -> None:
    """Also where the new one came to listen while the agent was away."""
    port.old()
    with port.serving():
        port.share()
        if not while_away:
            port.new()
            eventually(port.steers_to_new)
    if while_away:
        port.new()
    assert who(*OUTSIDE) == {"old"}
    with port.serving():
        settled(lambda: who(PROBE, OWN), {"new"})
        assert who(*OUTSIDE, "127.0.0.1") == {"old"}
        port.steer()
        assert who(*OUTSIDE, *LOOPBACK) == {"new"}


def test_an_agent_that_is_killed_after_the_steering_only_cleans_up(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
    assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}
    with port.serving():
        time.sleep(0.3)
        assert port.steward() == "steered"
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}
        assert port.migrates()
        end(old)
        settled(port.migrates, wanted=False)
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}


def test_tidying_up_behind_a_killed_agent_turns_the_kernels_switch_back(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
        assert port.migrates()
    (port.node.dir / "steward").unlink()
    port.node.order("tidy")
    assert not port.migrates()


def test_an_agent_that_was_killed_in_the_steering_finishes_it(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
    order = port.node.dir / "steward"
    text = order.read_text().replace("wanted=watching", "wanted=steered")
    order.write_text(text.replace("number=", "number=9"))
    with port.serving():
        settled(port.steward, "steered")
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}


def test_who_serves_when_the_agent_never_comes_back(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
    with Clients(*OUTSIDE) as clients:
        time.sleep(0.2)
        end(old)
        time.sleep(0.2)
    assert set(clients.answers) == {"old", "new"}
    assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}


@pytest.mark.parametrize("how", ["told", "idle"])
@pytest.mark.parametrize("with_new", [False, True])
def test_an_agent_that_ends_gives_all_to_the_old_one(
    port: SharedPort, how: str, with_new: bool
) -> None:
    old = port.old()
    with port.serving("--idle", 1) as agent:
        with port.node.calling():
            port.share()
            if with_new:
                port.new()
                eventually(port.steers_to_new)
        if how == "told":
            agent.terminate()
        assert agent.wait(timeout=20) == 0
    assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"old"}
    assert not port.migrates()
    assert port.is_shared(old) == with_new
    assert port.steward() == "none"
    assert sorted(path.name for path in port.node.dir.iterdir()) == [
        "agent.lock",
        "contact",
        "lock",
    ]


def test_a_restart_of_the_node_ends_the_steering(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
    port.node.boot("1e0c0a0e-0000-4000-8000-000000000002")
    with port.serving():
        time.sleep(0.2)
        assert port.steward() == "none"
        assert who(PROBE) == {"old"}
