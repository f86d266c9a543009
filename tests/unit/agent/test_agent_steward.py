"""Steering: which instance gets a connection, in each phase; and the way back."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from agent_node import COMPONENT, INSTANCE_UID, Node, eventually
from shared_port import LOOPBACK, OUTSIDE, OWN, PROBE, Clients, SharedPort, ask, end, settled, who

V4 = ("10.9.9.1", "127.0.0.1", "127.0.0.3")
V6 = ("fd00::1", "::1")


@pytest.mark.parametrize("kind", [(), ("--mptcp",)], ids=["tcp", "mptcp"])
def test_each_phase_gives_connections_to_whom_it_should(port: SharedPort, kind: tuple) -> None:
    old = port.old(*kind)
    with port.serving():
        assert port.share() == {
            "component": COMPONENT,
            "way": "seamless",
            "uid": 0,
            "already": False,
        }
        assert who(*OUTSIDE, *LOOPBACK) == {"old"}
        assert who(PROBE) == {"nobody"}

        port.new(*kind)
        eventually(port.steers_to_new)
        assert who(*OUTSIDE, "127.0.0.1") == {"old"}
        assert who(PROBE, OWN) == {"new"}

        assert port.steer() == {"component": COMPONENT, "phase": "steered", "already": False}
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}

        end(old)
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"new"}


@pytest.mark.parametrize(
    ("words", "addresses", "probe"),
    [
        (("--address", "0.0.0.0"), V4, PROBE),
        (("--only-ipv6",), V6, None),
        (("--user", "65534"), V4 + V6, PROBE),
    ],
    ids=["ipv4", "only-ipv6", "another-user"],
)
def test_every_kind_of_listener_is_steered(
    port: SharedPort, words: tuple, addresses: tuple, probe: str | None
) -> None:
    port.old(*words)
    with port.serving():
        port.share()
        assert who(*addresses) == {"old"}
        port.new(*words)
        settled(lambda: ask(addresses[-1] if probe is None else probe), "new")
        assert who(addresses[0]) == {"old"}
        port.steer()
        assert who(*addresses) == {"new"}


def test_127_0_0_1_is_the_servers_own_where_it_listens_on_ipv4_alone(port: SharedPort) -> None:
    port.old("--address", "0.0.0.0")
    with port.serving():
        port.share()
        assert who("127.0.0.1") == {"old"}
        port.new("--address", "0.0.0.0")
        settled(lambda: who(PROBE, "127.0.0.1"), {"new"})
        assert who("10.9.9.1") == {"old"}


@pytest.mark.parametrize("kind", [(), ("--mptcp",)], ids=["tcp", "mptcp"])
def test_no_connection_is_lost_all_the_way(port: SharedPort, kind: tuple) -> None:
    old = port.old(*kind)
    with port.serving(), Clients(*OUTSIDE, "127.0.0.1", "::1") as clients:
        time.sleep(0.2)
        port.share()
        time.sleep(0.2)
        port.new(*kind)
        eventually(port.steers_to_new)
        port.steer()
        end(old)
        time.sleep(0.2)
    assert set(clients.answers) == {"old", "new"}
    assert len(clients.answers) > 200


def test_no_connection_is_lost_all_the_way_back(port: SharedPort) -> None:
    port.old()
    with port.serving(), Clients(*OUTSIDE) as clients:
        port.share()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
        time.sleep(0.2)
        assert not port.unshare()["already"]
        time.sleep(0.2)
    assert set(clients.answers) == {"old", "new"}


def test_the_probe_address_is_127_0_0_1_if_none_is_given(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.node.order(
            "share",
            component=COMPONENT,
            port=6443,
            way="seamless",
            pod_uid="0f5c2a0e9b7d4c1e8a3b6d5f4c3b2a19",
        )
        assert who("127.0.0.1") == {"nobody"}
        assert who("127.0.0.2", "::1") == {"old"}


def test_the_kernels_switch_is_on_meanwhile(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        assert not port.migrates()
        port.share()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
        assert port.migrates()
        end(old)
        settled(port.migrates, wanted=False)


def test_a_new_instance_that_is_restarted_is_steered_again(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
        for _ in range(2):
            new = port.new()
            eventually(port.steers_to_new)
            assert who(*OUTSIDE) == {"old"}
            end(new, signal.SIGKILL)
            assert who(*OUTSIDE) == {"old"}
            settled(lambda: who(PROBE), {"nobody"})
            assert who(*LOOPBACK) == {"old"}


def test_the_order_in_the_group_is_the_kernels(port: SharedPort) -> None:
    """Who leaves is replaced by the last one: the steward's slot goes to the second new one."""
    port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
        port.new(name="newer")
        settled(lambda: who(PROBE, OWN), {"newer"})
        assert who(*OUTSIDE, "127.0.0.1") == {"old"}
        port.steer()
        assert who(*OUTSIDE, *LOOPBACK) == {"newer"}


def test_what_an_interrupted_run_left_is_steered(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share("shared")
        port.new()
    with port.serving() as agent:
        agent.terminate()
        agent.wait(timeout=20)
    with port.serving():
        assert port.can_share()["way"] == "seamless"
        assert not port.share()["already"]
        assert who(PROBE, OWN) == {"new"}
        assert who(*OUTSIDE, "127.0.0.1") == {"old"}


# ---- beside the dead man's switch ----


def test_nothing_is_armed_before_the_steering(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
        answer = port.node.arm()
        assert (answer["code"], "steer first" in answer["error"]) == ("state", True)
        assert port.node.manifest.exists()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
        assert port.node.arm()["state"] == "armed"
        assert port.unshare()["code"] == "state"


def test_a_confirmed_hand_over_leaves_nothing_of_it(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
        port.node.arm()
        assert port.node.status()["old_listens"]
        end(old)
        status = port.node.status()
        assert (status["old_listens"], status["new_listens"]) == (False, True)
        port.node.confirm()
        settled(lambda: (port.node.dir / "steward-progress").exists(), wanted=False)
    assert not (port.node.dir / "steward").exists()
    assert not port.migrates()


def test_putting_back_stops_the_new_instance_and_the_sharing(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        new = port.new()
        eventually(port.steers_to_new)
        port.steer()
        port.node.arm()
        end(old)
        port.node.put_back()
        assert new.wait(timeout=20) == 0
        settled(port.migrates, wanted=False)
        port.old()
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"old"}
    assert port.node.manifest.exists()
    assert not (port.node.dir / "steward").exists()


@pytest.mark.parametrize("way", ["seamless", "shared"])
def test_it_comes_back_when_only_the_one_that_ends_still_listens(
    port: SharedPort, way: str
) -> None:
    port.old()
    with port.serving():
        port.share(way)
        new = port.new()
        if way == "seamless":
            eventually(port.steers_to_new)
            port.steer()
        port.node.arm()
        end(new, signal.SIGKILL)
        port.node.started(2)
        settled(lambda: port.node.status()["state"], "put-back")
        assert who(PROBE, *OUTSIDE) == {"old"}


def test_a_new_instance_that_serves_is_left(port: SharedPort, node: Node) -> None:
    old = port.old()
    with port.serving():
        port.share("shared")
        port.new()
        node.arm()
        node.started(3)
        time.sleep(2.5)
        end(old)
        settled(lambda: node.status()["static_servers"], 0)
        status = node.status()
        assert (status["state"], status["listeners"]) == ("armed", 1)
        assert status["instance_processes"] == 1


def test_unsharing_undoes_it_all(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        assert port.is_shared(old)
        new = port.new()
        eventually(port.steers_to_new)
        assert not port.unshare()["already"]
        assert new.wait(timeout=20) == 0
        assert who(PROBE, *OUTSIDE, *LOOPBACK) == {"old"}
        assert port.node.hold.exists()
        assert not port.is_shared(old)
        assert not port.migrates()
        assert port.steward() == "none"
        assert port.unshare()["already"]
        # And once more from the start.
        assert not port.share()["already"]
        port.new()
        eventually(port.steers_to_new)
        assert who(*OUTSIDE) == {"old"}


def test_unsharing_where_the_agent_is_dead(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        port.share()
        new = port.new()
        eventually(port.steers_to_new)
    assert not port.unshare()["already"]
    assert new.poll() is not None
    assert not port.migrates()
    assert not port.is_shared(old)
    assert who(*OUTSIDE) == {"old"}


@pytest.mark.parametrize("name", ["steward", "steward-progress"])
def test_a_damaged_file_is_told(port: SharedPort, name: str) -> None:
    port.node.dir.mkdir()
    Path(port.node.dir, name).write_text("number=1\n")
    port.old()
    with port.serving():
        answer = port.steer()
        assert answer["code"] in ("state", "share")
    assert ("damaged" in port.node.log) or name == "steward"
    assert INSTANCE_UID not in port.node.log
