"""The way back: a manifest is placed, stays, or is taken away again; then our directory goes."""

from __future__ import annotations

import stat

import pytest
from agent_node import COMPONENT, FILE, MANIFEST, Node, eventually


@pytest.fixture
def empty(node: Node) -> Node:
    """Return a node whose component is self-hosted: its manifest is kept."""
    node.manifest.unlink()
    node.kept.parent.mkdir(parents=True)
    node.kept.write_bytes(b"as it was")
    return node


def test_what_was_written_is_placed(empty: Node) -> None:
    with empty.serving():
        assert empty.place()["state"] == "placed"
        status = empty.status()
    assert empty.manifest.read_bytes() == MANIFEST
    assert stat.S_IMODE(empty.manifest.stat().st_mode) == 0o600
    assert (status["state"], status["component"]) == ("placed", COMPONENT)
    assert 50 < status["remaining"] <= 60
    assert empty.kept.read_bytes() == b"as it was"


@pytest.mark.parametrize("content", [bytes(range(256)) * 40, "päß\u20ac\U0001f600\n".encode() * 99])
def test_what_is_placed_is_byte_for_byte_what_was_sent(empty: Node, content: bytes) -> None:
    with empty.serving():
        assert empty.place(content)["state"] == "placed"
    assert empty.placed.read_bytes() == content


def test_other_content_than_was_ordered_is_not_placed(empty: Node) -> None:
    with empty.serving():
        assert empty.place(sha256="0" * 64)["code"] == "changed"
        assert empty.status()["state"] == "idle"
    assert not empty.manifest.exists()


def test_content_that_comes_too_late_leaves_alone_what_is_placed(empty: Node) -> None:
    with empty.serving():
        empty.place()
        assert empty.place(b"another")["code"] == "state"
        assert empty.manifest.read_bytes() == MANIFEST
        assert empty.placed.read_bytes() == MANIFEST
        empty.put_back()


def test_a_file_that_is_there_stays(node: Node) -> None:
    node.put_manifest(b"somebody's")
    with node.serving():
        assert node.place()["code"] == "state"
    assert node.manifest.read_bytes() == b"somebody's"


def test_nothing_is_placed_while_nobody_watches(empty: Node) -> None:
    assert empty.place()["code"] == "state"
    assert not empty.manifest.exists()


def test_confirmed_it_stays(empty: Node) -> None:
    with empty.serving():
        empty.place(limit=1)
        assert empty.confirm()["state"] == "confirmed"
        assert empty.confirm()["already"]
    with empty.serving() as agent:
        agent.terminate()
        agent.wait()
    assert empty.manifest.read_bytes() == MANIFEST


def test_what_nobody_confirms_is_taken_away(empty: Node) -> None:
    with empty.serving():
        empty.place(limit=1)
        eventually(lambda: not empty.manifest.exists())
        eventually(lambda: empty.status()["state"] == "taken-away")
        eventually(lambda: "taken-away" in empty.events())
    assert empty.status()["reason"] == "not confirmed within 1 s"
    assert empty.kept.read_bytes() == b"as it was"
    assert empty.events() == ["placed", "taken-away"]


def test_it_is_taken_away_when_told_and_when_the_agent_ends(empty: Node) -> None:
    with empty.serving():
        empty.place()
        assert empty.put_back("a test")["state"] == "taken-away"
        assert not empty.manifest.exists()
        assert empty.put_back()["already"]
        assert empty.confirm()["code"] == "state"
        assert empty.place()["state"] == "placed"
    with empty.serving() as agent:
        agent.terminate()
        agent.wait()
    assert not empty.manifest.exists()


def test_what_somebody_changed_is_left_alone(empty: Node) -> None:
    with empty.serving():
        empty.place()
        empty.put_manifest(MANIFEST + b"# mine\n")
        assert "left as it is" in empty.put_back()["reason"]
    assert empty.manifest.exists()


def test_after_a_reboot_it_stays(empty: Node) -> None:
    """It may be all that serves: the kubelet can't know of the DaemonSet's pods."""
    with empty.serving():
        empty.place(limit=1)
        empty.boot("1e0c0a0e-0000-4000-8000-000000000002")
        eventually(lambda: empty.status()["state"] == "confirmed")
    assert empty.manifest.exists()


def test_an_order_that_is_given_again_changes_nothing(empty: Node) -> None:
    with empty.serving():
        empty.place()
        assert empty.place()["already"]
    assert empty.events() == ["placed"]


def test_an_agent_that_was_killed_as_it_placed_is_gone_on_with(empty: Node) -> None:
    with empty.serving():
        empty.place()
        empty.manifest.unlink()  # as if it had not come to the rename
        assert empty.place()["already"]
        assert empty.manifest.read_bytes() == MANIFEST


def test_nothing_else_is_begun_meanwhile(empty: Node) -> None:
    with empty.serving():
        empty.place()
        assert empty.arm()["code"] == "state"
        assert empty.order("tidy")["code"] == "state"
    assert empty.manifest.exists()


# The end


def test_our_directory_goes(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
        node.hold.touch()
        assert not node.order("tidy")["left"]
        assert not node.dir.exists()
        assert node.status()["state"] == "idle"


def test_an_agent_whose_directory_is_gone_ends_well(node: Node) -> None:
    with node.serving() as agent:
        node.order("tidy")
        agent.terminate()
        assert agent.wait(timeout=20) == 0
    assert not node.dir.exists()


def test_the_kept_manifests_can_stay(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
        assert node.order("tidy", keep_backups=True)["left"]
    left = {str(p.relative_to(node.dir)) for p in node.dir.rglob("*") if p.is_file()}
    assert left == {f"{COMPONENT}/{FILE}", "journal"}


def test_what_is_not_ours_stays(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
        (node.dir / "notes.txt").touch()
        assert node.order("tidy")["left"]
    assert [p.name for p in node.dir.iterdir()] == ["notes.txt"]


def test_where_there_is_nothing_nothing_is_done(node: Node) -> None:
    assert not node.order("tidy")["left"]
