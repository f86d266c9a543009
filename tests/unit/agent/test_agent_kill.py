"""kill: a pod's server is known to be dead when the answer comes."""

from __future__ import annotations

import pytest
from agent_node import CONMON, INSTANCE_UID, STATIC_UID, Node


def kill(node: Node, uid: str = INSTANCE_UID, **fields: object) -> dict:
    return node.order("kill", pod_uid=uid, **fields)


def test_a_server_is_killed_even_if_it_is_deaf(node: Node) -> None:
    server = node.process(INSTANCE_UID, deaf=True)
    assert kill(node) == {"killed": 1}
    assert server.wait(1) < 0


def test_others_are_left_alone(node: Node) -> None:
    others = [
        node.process(STATIC_UID),
        node.process(INSTANCE_UID, comm="pause"),
        node.process(INSTANCE_UID, comm="selfhost-agent"),
        node.process(INSTANCE_UID, comm="conmon"),
        node.process(INSTANCE_UID, comm="conmonrs"),
        node.process(INSTANCE_UID, comm="conmon-2.1", cgroup=CONMON),
    ]
    assert kill(node) == {"killed": 0}
    assert [other.poll() for other in others] == [None] * len(others)


def test_a_side_car_is_left_alone(node: Node) -> None:
    server = node.process(INSTANCE_UID, comm="kube-controller")  # the kernel keeps 15 characters
    side_car = node.process(INSTANCE_UID, comm="kms-plugin")
    assert kill(node) == {"killed": 1}
    assert server.wait(1) < 0
    assert side_car.poll() is None


@pytest.mark.parametrize("words", ["", "/usr/local/bin/kube-scheduler\0--v=2"])
def test_a_program_under_another_name_is_killed(node: Node, words: str) -> None:
    """One that says its name as its first word is the only one; else nobody knows which it is."""
    server = node.process(INSTANCE_UID, comm="runner", words=words)
    other = node.process(INSTANCE_UID, comm="kms-plugin")
    assert kill(node) == {"killed": 1 if words else 2}
    assert server.wait(1) < 0
    assert (other.poll() is None) == bool(words)


def test_by_name_only_a_program_that_says_its_name_is_killed(node: Node) -> None:
    starting = node.process(INSTANCE_UID, comm="runc:[2:INIT]")
    assert kill(node, by_name=True) == {"killed": 0}
    server = node.process(INSTANCE_UID)
    assert kill(node, by_name=True) == {"killed": 1}
    assert server.wait(1) < 0
    assert starting.poll() is None


def test_a_pod_without_processes_is_no_failure(node: Node) -> None:
    assert kill(node) == {"killed": 0}
