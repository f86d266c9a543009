"""Sharing the port of a server that runs: whether it can be, and the orders for it."""

from __future__ import annotations

import ctypes
import json
import platform
import signal
import subprocess
import threading
import time

import pytest
from agent_node import COMPONENT, STATIC_UID, eventually
from shared_port import PORT, PROBE, SharedPort, ask, end, who

from kubectl_selfhost.node.orders import as_lines

STRANGER = "11111111-2222-4333-8444-555555555555"


def test_a_server_on_all_addresses_is_shared_seamlessly(port: SharedPort) -> None:
    old = port.old()
    wanted = {"way": "seamless", "reason": "", "uid": 0, "listeners": 1}
    assert port.can_share() == wanted
    assert not port.is_shared(old)


def test_the_servers_user_is_told(port: SharedPort) -> None:
    port.old("--user", "65534")
    assert port.can_share()["uid"] == 65534


@pytest.mark.parametrize("address", ["10.9.9.1", "127.0.0.1", "fd00::1", "::1"])
def test_one_address_is_shared_without_steering(port: SharedPort, address: str) -> None:
    old = port.old("--address", address)
    answer = port.can_share()
    assert (answer["way"], answer["reason"]) == ("shared", f"it listens on one address ({address})")
    with port.serving():
        assert port.share()["error"] == f"it listens on one address ({address})"
        assert not port.is_shared(old)
        assert port.share("shared")["way"] == "shared"
        port.new("--address", address)
        end(old)
        assert ask(address) == "new"


def test_nothing_to_share(port: SharedPort) -> None:
    answer = port.can_share()
    assert (answer["way"], answer["reason"]) == ("waiting", "nothing listens on port 6443")
    assert answer["listeners"] == 0
    with port.serving():
        assert port.share("shared")["code"] == "silent"


def test_a_port_that_somebody_else_has(port: SharedPort) -> None:
    stranger = port.server("stranger", STRANGER)
    answer = port.can_share()
    assert (answer["way"], answer["reason"]) == (
        "waiting",
        f"the pod's server does not listen on port 6443, but pid {stranger.pid}",
    )


def test_a_second_listener(port: SharedPort) -> None:
    old = port.old("--share")
    stranger = port.server("stranger", STRANGER, "--share")
    answer = port.can_share()
    pids = {f"pids {a.pid} and {b.pid}" for a, b in ((old, stranger), (stranger, old))}
    assert answer["way"] == "waiting"
    assert answer["reason"] in {f"2 processes listen on port 6443: {text}" for text in pids}
    assert answer["listeners"] == 2
    with port.serving():
        assert port.share("shared")["code"] == "share"


@pytest.mark.parametrize(
    ("own", "other"),
    [("127.0.0.1", "10.9.9.1"), ("10.9.9.1", "127.0.0.1"), ("127.0.0.1", "fd00::1")],
)
def test_a_proxy_at_another_address_is_in_nobodys_way(
    port: SharedPort, own: str, other: str
) -> None:
    """haproxy at the node's address, say, before a controller-manager on loopback."""
    old = port.old("--address", own)
    proxy = port.server("proxy", STRANGER, "--address", other, comm="haproxy")
    answer = port.can_share()
    assert (answer["way"], answer["listeners"]) == ("shared", 1)
    with port.serving():
        assert port.share("shared")["way"] == "shared"
        assert not port.node.status()["new_listens"]
        port.new("--address", own)
        assert port.node.status()["new_listens"]
        end(old)
        assert (ask(own), ask(other)) == ("new", "proxy")
        end(proxy)


@pytest.mark.parametrize("other", ["10.9.9.1", "fd00::1", "0.0.0.0"])
def test_a_proxy_at_an_address_of_a_wildcards_is(port: SharedPort, other: str) -> None:
    port.old("--share")
    port.server("proxy", STRANGER, "--address", other, "--share", comm="haproxy")
    assert "2 processes listen on port 6443" in port.can_share()["reason"]


def test_a_new_instance_is_no_stranger_but_a_second_one_is(port: SharedPort) -> None:
    port.old("--share")
    port.new()
    assert port.can_share()["way"] == "seamless"
    port.new(name="another")
    assert "3 processes listen" in port.can_share()["reason"]


def _forbid_pidfd_getfd() -> None:
    """Have the kernel refuse pidfd_getfd to this process, as yama's ptrace_scope 3 does."""
    program = (ctypes.c_uint64 * 4)(
        0x20,  # the call's number
        0x15 | 1 << 24 | 438 << 32,  # another one: one further
        0x06 | (0x00050000 | 1) << 32,  # EPERM
        0x06 | 0x7FFF0000 << 32,  # allowed
    )

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    whole = Program(4, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, ctypes.byref(whole), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for little-endian CPUs")
def test_a_kernel_that_forbids_it(port: SharedPort) -> None:
    port.old()
    place = {"dir": port.node.dir, "proc": port.node.proc}
    order = as_lines(order="can-share", **place, port=PORT, pod_uid=STATIC_UID)
    result = subprocess.run(
        [port.node.program, "order"],
        input=order,
        stdout=subprocess.PIPE,
        preexec_fn=_forbid_pidfd_getfd,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
        check=True,
    )
    answer = json.loads(result.stdout)
    assert answer["way"] == "waiting"
    assert answer["reason"] == "the kernel refuses pidfd_getfd (Operation not permitted)"


def test_an_order_given_twice_is_one(port: SharedPort) -> None:
    port.old()
    with port.serving():
        assert not port.share()["already"]
        assert port.share()["already"]
        port.new()
        eventually(port.steers_to_new)
        assert not port.steer()["already"]
        assert port.steer()["already"]
        assert port.share()["already"]
        assert who("10.9.9.1") == {"new"}


DEBIAN_11 = "5.10.0-32-cloud-amd64"


@pytest.mark.parametrize(
    ("release", "way"),
    [
        ("5.14.0-427.el9.x86_64", "seamless"),
        ("6.1.0-50-cloud-amd64", "seamless"),
        ("10.0", "seamless"),
        (DEBIAN_11, "steered"),
        ("5.13.19", "steered"),
        ("what?", "steered"),
    ],
)
def test_the_kernel_decides_whether_it_is_seamless_and_not_a_file(
    port: SharedPort, release: str, way: str
) -> None:
    """Debian's 5.10 has the sysctl tcp_migrate_req, and nothing behind it."""
    (port.node.proc / "sys/kernel/osrelease").write_text(release + "\n")
    port.old()
    answer = port.can_share()
    assert answer["way"] == way
    assert ("resets connections" in answer["reason"]) == (way == "steered")


def test_a_kernel_without_the_switch_is_steered(port: SharedPort) -> None:
    (port.node.proc / "sys/net").unlink()
    port.old()
    assert port.can_share()["way"] == "steered"


def test_what_is_not_seamless_is_refused_and_steered_all_the_same(port: SharedPort) -> None:
    (port.node.proc / "sys/kernel/osrelease").write_text(DEBIAN_11 + "\n")
    port.old()
    with port.serving():
        assert "resets connections" in port.share()["error"]
        assert port.share("steered")["way"] == "steered"
        assert port.share("steered")["already"]
        assert not port.migrates()
        port.new()
        eventually(port.steers_to_new)
        port.steer()
        assert who("10.9.9.1") == {"new"}


def test_nobody_joins_before_the_old_socket_is_shared(port: SharedPort) -> None:
    """The agent sees the order at once, and the command may be slow: a busy machine, a full disk.

    A steward that joins too early is refused ("Address in use", see test_port_rules).
    """
    order = port.node.dir / "steward"
    old = port.old()
    with port.serving():
        for _ in range(50):
            answer: dict = {}
            sharing = threading.Thread(target=lambda: answer.update(port.share()))  # noqa: B023
            sharing.start()
            while not order.exists():
                pass
            command = port.node.newest()
            command.send_signal(signal.SIGSTOP)
            caught = "wanted=sharing\n" in order.read_text() and not port.is_shared(old)
            time.sleep(0.4 * caught)  # the agent looks ten times a second
            command.send_signal(signal.SIGCONT)
            sharing.join()
            assert "error" not in answer
            if caught:
                break
            port.unshare()
        else:
            pytest.fail("the command was never stopped in time")
        assert port.steward() == "watching"
    assert "no steward" not in port.node.log


def test_one_port_at_a_time(port: SharedPort) -> None:
    port.old()
    with port.serving():
        port.share()
        answer = port.share(component="kube-scheduler")
    assert answer["code"] == "state"
    assert COMPONENT in answer["error"]


def test_nothing_is_shared_while_nobody_watches(port: SharedPort) -> None:
    old = port.old()
    answer = port.share()
    assert (answer["code"], "no agent watches" in answer["error"]) == ("state", True)
    assert not port.is_shared(old)


def test_a_shared_port_has_no_steward(port: SharedPort) -> None:
    old = port.old()
    with port.serving():
        assert not port.share("shared")["already"]
        assert port.share("shared")["already"]
        assert port.is_shared(old)
        assert port.steer()["error"] == f"no steward stands for {COMPONENT}"
        assert not port.unshare()["already"]
        assert not port.is_shared(old)


def test_a_server_that_shares_by_itself_goes_on_sharing(port: SharedPort) -> None:
    old = port.old("--share")
    with port.serving():
        port.share()
        port.unshare()
        assert port.is_shared(old)


def test_nothing_is_steered_before_the_new_one_listens(port: SharedPort) -> None:
    port.old()
    with port.serving():
        assert port.steer()["code"] == "share"
        port.share()
        answer = port.steer()
        assert answer["error"] == "the new instance does not listen on port 6443"
        assert port.steward() == "watching"


def test_a_release_lets_the_new_one_start(port: SharedPort) -> None:
    with port.serving():
        port.node.order("hold", component=COMPONENT)
        assert port.node.hold.exists()
        assert port.of("release") == {"released": COMPONENT}
        assert not port.node.hold.exists()
        assert port.of("release") == {"released": COMPONENT}


def test_status_tells_who_listens(port: SharedPort) -> None:
    port.old()
    with port.serving():
        status = port.node.status()
        assert (status["steward"], status["listeners"]) == ("none", 0)
        port.share("shared")
        status = port.node.status()
        assert (status["listeners"], status["old_listens"]) == (1, True)
        assert not status["new_listens"]
        port.new()
        status = port.node.status()
        assert (status["listeners"], status["new_listens"]) == (2, True)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0", "127.0.0.256", "127.0.0.1.1", "127.0.0.01x", "", "localhost"]
)
def test_a_probe_address_is_on_loopback(port: SharedPort, address: str) -> None:
    assert port.share(probe_address=address)["code"] == "usage"


def test_a_way_that_there_is_not(port: SharedPort) -> None:
    assert port.share("waiting")["code"] == "usage"


def test_without_a_pod_to_stop_only_the_sharing_is_undone(port: SharedPort) -> None:
    """Between two pods of one DaemonSet: a hold file would make every later pod wait for ever."""
    port.old("--share")
    with port.serving():
        port.of("share", port=PORT, way="seamless", pod_uid=STATIC_UID, probe_address=PROBE)
        new = port.new()
        eventually(port.steers_to_new)
        assert not port.of("unshare")["already"]
        assert new.poll() is None
        assert not port.node.hold.exists()
        assert port.steward() == "none"
