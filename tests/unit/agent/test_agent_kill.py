"""kill: a pod's server is known to be dead when the answer comes."""

from __future__ import annotations

from agent_node import INSTANCE_UID, STATIC_UID, Node


def kill(node: Node, uid: str = INSTANCE_UID) -> dict:
    return node.order("kill", pod_uid=uid)


def test_a_server_is_killed_even_if_it_is_deaf(node: Node) -> None:
    server = node.process(INSTANCE_UID, deaf=True)
    assert kill(node) == {"killed": 1}
    assert server.wait(1) < 0


def test_others_are_left_alone(node: Node) -> None:
    others = [
        node.process(STATIC_UID),
        node.process(INSTANCE_UID, comm="pause"),
        node.process(INSTANCE_UID, comm="selfhost-agent"),
    ]
    assert kill(node) == {"killed": 0}
    assert [other.poll() for other in others] == [None, None, None]


def test_a_pod_without_processes_is_no_failure(node: Node) -> None:
    assert kill(node) == {"killed": 0}
