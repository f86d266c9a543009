"""An order that an agent must watch over is refused, unless an agent is there to watch."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_node import COMPONENT, INSTANCE_UID, MANIFEST, STATIC_UID, Node, eventually
from shared_port import PORT, PROBE

KEPT = b"as it was\n"


def arm(node: Node) -> dict:
    return node.arm()


def place(node: Node) -> dict:
    node.manifest.unlink()
    return node.place()


def exchange(node: Node) -> dict:
    return node.exchange(KEPT, MANIFEST)


def share(node: Node) -> dict:
    return node.order(
        "share",
        component=COMPONENT,
        port=PORT,
        way="seamless",
        pod_uid=STATIC_UID,
        probe_address=PROBE,
    )


def steer(node: Node) -> dict:
    return node.order("steer", component=COMPONENT)


WATCHED = [arm, place, exchange, share, steer]


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Have another process hold the lock while the block runs."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(fd)


def waiting_for(path: Path) -> int:
    """Return how many processes wait for the lock, as the kernel lists them."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    inode = f":{path.stat().st_ino}"
    return sum(line[1] == "->" and line[6].endswith(inode) for line in lines)


class Later:
    """An order that runs beside the test."""

    def __init__(self, order: Callable[[], dict]) -> None:
        self._answer: dict = {}
        self._thread = threading.Thread(target=lambda: self._answer.update(order()))
        self._thread.start()

    def answer(self) -> dict:
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        return self._answer


@pytest.fixture
def ready(node: Node) -> Node:
    """Return a node on which each of the orders could be carried out."""
    node.kept.parent.mkdir(parents=True)
    node.kept.write_bytes(KEPT)
    return node


def nothing_was_done(node: Node) -> bool:
    return node.status()["state"] == "idle" and not any(
        (node.dir / name).exists() for name in ("steward", "journal")
    )


@pytest.mark.parametrize("order", WATCHED)
def test_an_agent_that_only_holds_its_lock_does_not_count(
    ready: Node, order: Callable[[Node], dict]
) -> None:
    """An agent that is ending holds its lock too, and looks at nothing any more."""
    server = ready.process(INSTANCE_UID)
    with held(ready.dir / "agent.lock"):
        answer = order(ready)
    assert answer["code"] == "state"
    assert answer["error"] == f"the agent that watches {ready.dir} did not answer within 5 s"
    assert nothing_was_done(ready)
    assert server.poll() is None


@pytest.mark.parametrize("order", [arm, share])
def test_an_order_that_comes_behind_an_agent_that_ends_is_refused(
    ready: Node, order: Callable[[Node], dict]
) -> None:
    with ready.serving() as agent:
        with held(ready.dir / "lock"):
            agent.terminate()
            eventually(lambda: waiting_for(ready.dir / "lock") == 1)  # the agent, to end under it
            behind = Later(lambda: order(ready))
            eventually(lambda: waiting_for(ready.dir / "lock") == 2)
        assert agent.wait(timeout=20) == 0
    assert "no agent watches" in behind.answer()["error"]
    assert nothing_was_done(ready)


def test_an_order_waits_for_an_agent_that_is_being_started(node: Node) -> None:
    first = Later(node.arm)
    time.sleep(0.5)
    with node.serving():
        assert first.answer()["state"] == "armed"


def test_an_agent_that_must_fall_back_answers_whoever_has_the_lock(node: Node) -> None:
    """Each would wait for the other else, and the manifest for both."""
    question = f"{7:020} {7:010}\n"
    with node.serving():
        node.arm(limit=1)
        with held(node.dir / "lock"):
            time.sleep(1.3)
            (node.dir / "lock").write_text(question)
            eventually(lambda: (node.dir / "agent.lock").read_text() == question)
            assert node.status()["state"] == "armed"
        eventually(node.manifest.exists)
    assert "could not be put back" not in node.log


def test_a_lock_that_was_removed_meanwhile_locks_nothing(node: Node) -> None:
    lock = node.dir / "lock"
    node.dir.mkdir()
    with contextlib.ExitStack() as removed:
        removed.enter_context(held(lock))
        order = Later(lambda: node.order("hold", component=COMPONENT))
        eventually(lambda: waiting_for(lock) == 1)
        lock.unlink()  # as `tidy` does
        with held(lock):
            removed.close()
            eventually(lambda: waiting_for(lock) == 1)  # again, for the file that is there
            assert not node.hold.exists()
    assert order.answer() == {"held": COMPONENT}


def test_an_agent_whose_lock_another_one_has_ends(node: Node) -> None:
    with node.serving() as first:
        node.arm()
        (node.dir / "agent.lock").unlink()  # as `tidy` does
        with node.serving():
            assert first.wait(timeout=20) == 0
            assert node.status()["state"] == "armed"


def test_the_guardian_keeps_still_once_it_is_disabled(node: Node) -> None:
    """It decides and acts under the lock."""
    node.dir.mkdir()
    with held(node.dir / "lock"):
        disabling = Later(lambda: node.order("disable", manifests=node.manifests))
        eventually(lambda: waiting_for(node.dir / "lock") == 1)
        assert not (node.dir / "guardian-off").exists()
    assert "disabled" in disabling.answer()
