"""A kept manifest takes the place of the one that runs, or the former one comes back."""

from __future__ import annotations

import os
import stat

import pytest
from agent_node import MANIFEST, STATIC_UID, Node, eventually

KEPT = b"as it was\n"


@pytest.fixture
def back(node: Node) -> Node:
    """Return a node whose component is static again, and whose manifest of before the pivot is
    kept.
    """
    node.kept.parent.mkdir(parents=True)
    node.kept.write_bytes(KEPT)
    node.kept.chmod(0o640)
    os.utime(node.kept, (1_700_000_000, 1_700_000_000))
    return node


def test_it_is_the_file_as_it_was(back: Node) -> None:
    with back.serving():
        assert back.exchange(KEPT, MANIFEST)["state"] == "placed"
        assert back.confirm()["state"] == "confirmed"
    facts = back.manifest.stat()
    assert back.manifest.read_bytes() == KEPT
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime) == (0o640, 1_700_000_000)
    assert back.kept.read_bytes() == KEPT


@pytest.mark.parametrize("how", ["told", "late", "ended"])
def test_what_was_there_comes_back(back: Node, how: str) -> None:
    with back.serving() as agent:
        back.exchange(KEPT, MANIFEST, limit=1 if how == "late" else 60)
        if how == "told":
            back.put_back()
        elif how == "ended":
            agent.terminate()
            agent.wait()
        eventually(lambda: back.manifest.read_bytes() == MANIFEST)
        eventually(lambda: back.events() == ["exchanged", "taken-away"])  # a moment later


def test_what_somebody_changed_is_not_replaced(back: Node) -> None:
    with back.serving():
        assert back.exchange(KEPT, b"other")["code"] == "changed"
        assert back.exchange(b"other", MANIFEST)["code"] == "changed"
        assert back.status()["state"] == "idle"
    assert back.manifest.read_bytes() == MANIFEST


def test_given_again_it_changes_nothing(back: Node) -> None:
    with back.serving():
        back.exchange(KEPT, MANIFEST)
        assert back.exchange(KEPT, MANIFEST)["already"]
        assert back.events() == ["exchanged"]


def test_one_that_only_drains_is_ended(back: Node) -> None:
    """The kubelet starts the pod with the new manifest only after that."""
    draining = back.process(STATIC_UID, deaf=True)
    back.listen(on=True)
    with back.serving():
        back.exchange(KEPT, MANIFEST)
        draining.terminate()
        eventually(lambda: back.status()["static_servers"] == 1)
        assert draining.poll() is None
        back.listen(on=False)
        eventually(lambda: draining.poll() is not None)
