"""Stopping servers for a while: nothing ever stays stopped."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from agent_node import COMPONENT, CONMON, INSTANCE_UID, Node
from shared_port import settled


def condition(process: subprocess.Popen[str]) -> str:
    """Return the process' state as the kernel has it: T is stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_stopped(process: subprocess.Popen[str]) -> bool:
    return condition(process) == "T"


def pause(node: Node, limit: int = 15) -> dict:
    return node.order("pause", component=COMPONENT, instance_uids=[INSTANCE_UID], limit=limit)


def resume(node: Node) -> dict:
    return node.order("resume", component=COMPONENT)


def test_servers_stop_and_go_on(node: Node) -> None:
    server = node.process(INSTANCE_UID)
    others = [
        node.process(INSTANCE_UID, comm="pause"),
        node.process(INSTANCE_UID, comm="selfhost-agent"),
        node.process(INSTANCE_UID, comm="conmon", cgroup=CONMON),
        node.process(INSTANCE_UID, comm="kms-plugin"),
        node.process("11111111-2222-4333-8444-555555555555"),
    ]
    with node.serving():
        assert not node.status()["paused"]
        assert pause(node) == {"paused": 1}
        settled(lambda: is_stopped(server), wanted=True)
        assert not any(map(is_stopped, others))
        assert node.status()["paused"]
        assert resume(node) == {"resumed": 1}
        settled(lambda: is_stopped(server), wanted=False)
        assert not node.status()["paused"]
        assert resume(node) == {"resumed": 0}


def test_one_that_got_its_programs_name_meanwhile_goes_on(node: Node) -> None:
    """A shell, say, that has started the component since: what was stopped is let go on all the same."""
    server = node.process(INSTANCE_UID, comm="sh")
    with node.serving():
        assert pause(node) == {"paused": 1}
        settled(lambda: is_stopped(server), wanted=True)
        node.process(INSTANCE_UID)
        resume(node)
        settled(lambda: is_stopped(server), wanted=False)


def test_they_go_on_by_themselves(node: Node) -> None:
    server = node.process(INSTANCE_UID)
    with node.serving():
        start = time.monotonic()
        pause(node, limit=1)
        settled(lambda: is_stopped(server), wanted=True)
        settled(lambda: is_stopped(server), wanted=False)
        assert 0.9 < time.monotonic() - start < 3
        settled(lambda: node.status()["paused"], wanted=False)
    assert "1 paused processes go on" in node.log


def test_no_limit_is_longer_than_15_seconds(node: Node) -> None:
    with node.serving():
        pause(node, limit=1000)
        assert "limit=15000\n" in (node.dir / "paused").read_text()


def test_a_second_pause_lets_nobody_be_forgotten(node: Node) -> None:
    first = node.process(INSTANCE_UID)
    other = "11111111-2222-4333-8444-555555555555"
    second = node.process(other)
    with node.serving():
        pause(node)
        node.order("pause", component=COMPONENT, instance_uids=[other])
        settled(lambda: (is_stopped(first), is_stopped(second)), wanted=(False, True))
        resume(node)
        settled(lambda: is_stopped(second), wanted=False)


def test_nothing_is_paused_while_nobody_watches(node: Node) -> None:
    server = node.process(INSTANCE_UID)
    assert pause(node)["code"] in ("state", "not-found")
    assert not is_stopped(server)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_they_go_on_when_the_agent_ends_or_comes_back(node: Node, how: signal.Signals) -> None:
    server = node.process(INSTANCE_UID)
    with node.serving() as agent:
        pause(node)
        settled(lambda: is_stopped(server), wanted=True)
        agent.send_signal(how)
        agent.wait(timeout=20)
    if how == signal.SIGKILL:
        assert is_stopped(server)
        with node.serving():
            # The file goes last: whoever is killed before has another try.
            settled(lambda: (node.dir / "paused").exists(), wanted=False)
    assert not is_stopped(server)
    assert not (node.dir / "paused").exists()


def unshare(node: Node) -> None:
    node.order("unshare", component=COMPONENT, instance_uids=[INSTANCE_UID])


def put_back(node: Node) -> None:
    node.arm()
    node.put_back()


@pytest.mark.parametrize("way_back", [unshare, put_back])
def test_the_way_back_lets_them_go_on_first(node: Node, way_back: Callable[[Node], None]) -> None:
    """One that is stopped would not hear that it is to end."""
    server = node.process(INSTANCE_UID)
    with node.serving():
        pause(node)
        settled(lambda: is_stopped(server), wanted=True)
        way_back(node)
        assert not (node.dir / "paused").exists()
        if way_back is put_back:
            assert server.wait(timeout=20) == -signal.SIGTERM
        else:
            assert not is_stopped(server)


def test_a_damaged_file_is_no_reason_to_leave_them_stopped(node: Node) -> None:
    server = node.process(INSTANCE_UID)
    with node.serving():
        pause(node)
        settled(lambda: is_stopped(server), wanted=True)
        paused = node.dir / "paused"
        paused.write_text(paused.read_text().replace("boot_id", "since=x\nboot_id"))
        settled(lambda: is_stopped(server), wanted=False)


def test_tidying_up_leaves_nobody_stopped(node: Node) -> None:
    """The file that remembers them goes, and no agent may be there that has read it."""
    server = node.process(INSTANCE_UID)
    with node.serving():
        pause(node)
        settled(lambda: is_stopped(server), wanted=True)
    node.order("tidy")
    assert not is_stopped(server)
    assert not node.dir.exists()


def test_after_a_restart_of_the_node_nothing_is_paused(node: Node) -> None:
    with node.serving():
        pause(node)
        node.boot("1e0c0a0e-0000-4000-8000-000000000002")
        settled(lambda: node.status()["paused"], wanted=False)
