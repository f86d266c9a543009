"""Taking a manifest away."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest
from agent_node import COMPONENT, FILE, MANIFEST, Node


def test_the_manifest_is_kept_as_it_was(node: Node) -> None:
    os.utime(node.manifest, (1_700_000_000, 1_700_000_000))
    before = node.manifest.stat()
    with node.serving():
        assert node.arm()["state"] == "armed"
    after = node.kept.stat()
    assert not node.manifest.exists()
    assert node.kept.read_bytes() == MANIFEST
    assert (after.st_mode, after.st_mtime, after.st_ino) == (
        before.st_mode,
        before.st_mtime,
        before.st_ino,
    )


def test_others_can_read_nothing_of_it(node: Node) -> None:
    with node.serving():
        node.arm()
    for path in (node.dir, *node.dir.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        # A component that isn't root must be able to see whether its hold file is there.
        assert mode == (0o711 if path.is_dir() else 0o600)


def test_status_tells_what_is_armed(node: Node) -> None:
    with node.serving():
        node.arm(limit=60)
        status = node.status()
    assert (status["state"], status["component"], status["file"]) == ("armed", COMPONENT, FILE)
    assert 50 < status["remaining"] <= 60
    assert status["agent_running"]


def test_nothing_is_armed_while_nobody_watches(node: Node) -> None:
    answer = node.arm()
    assert answer["code"] == "state"
    assert "no agent watches" in answer["error"]
    assert node.manifest.exists()


def test_a_changed_manifest_stays(node: Node) -> None:
    node.put_manifest(MANIFEST + b"# edited\n")
    with node.serving():
        answer = node.arm()
        assert node.status()["state"] == "idle"
    assert answer["code"] == "changed"
    assert str(node.manifest) in answer["error"]
    assert node.manifest.exists()


def test_a_missing_manifest_is_told(node: Node) -> None:
    node.manifest.unlink()
    with node.serving():
        answer = node.arm()
    assert answer["code"] == "not-found"
    assert answer["error"] == f"cannot read {node.manifest}: No such file or directory"


@pytest.mark.parametrize("kind", ["symlink", "directory", "pipe"])
def test_only_a_regular_file_is_taken(node: Node, kind: str) -> None:
    node.manifest.rename(node.manifests / ".other")
    if kind == "symlink":
        node.manifest.symlink_to(node.manifests / ".other")
    elif kind == "directory":
        node.manifest.mkdir()
    else:
        os.mkfifo(node.manifest)
    with node.serving():
        assert node.arm()["code"] == "io"
    assert node.manifest.exists()


def test_an_order_given_twice_is_one(node: Node) -> None:
    with node.serving():
        node.arm()
        assert node.arm()["already"]
    assert node.events() == ["armed"]


def test_a_second_hand_over_is_refused(node: Node) -> None:
    (node.manifests / "other.yaml").write_bytes(MANIFEST)
    with node.serving():
        node.arm()
        answer = node.arm(component="kube-scheduler", file="other.yaml")
    assert answer["code"] == "state"
    assert COMPONENT in answer["error"]
    assert (node.manifests / "other.yaml").exists()


def test_the_next_component_can_be_armed_after_a_confirmation(node: Node) -> None:
    (node.manifests / "other.yaml").write_bytes(MANIFEST)
    with node.serving():
        node.arm()
        node.confirm()
        assert node.arm(component="kube-scheduler", file="other.yaml")["state"] == "armed"


def test_an_older_kept_manifest_gets_a_number(node: Node) -> None:
    node.kept.parent.mkdir(parents=True)
    node.kept.write_text("old")
    node.kept.with_name(FILE + ".1").write_text("older")
    with node.serving():
        node.arm()
    assert node.kept.read_bytes() == MANIFEST
    assert node.kept.with_name(FILE + ".1").read_text() == "older"
    assert node.kept.with_name(FILE + ".2").read_text() == "old"


def test_an_identical_kept_manifest_is_replaced(node: Node) -> None:
    node.kept.parent.mkdir(parents=True)
    node.kept.write_bytes(MANIFEST)
    with node.serving():
        node.arm()
    assert sorted(path.name for path in node.kept.parent.iterdir()) == [FILE]


def test_the_hold_of_a_former_try_goes(node: Node) -> None:
    node.hold.parent.mkdir(parents=True)
    node.hold.touch()
    with node.serving():
        node.arm()
    assert not node.hold.exists()


def test_the_journal_names_the_manifest(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
    armed, confirmed = node.journal()
    assert (armed["event"], confirmed["event"]) == ("armed", "confirmed")
    assert armed["sha256"] == hashlib.sha256(MANIFEST).hexdigest()
    assert len(armed["time"]) == 20


def test_a_torn_last_line_of_the_journal_stays_alone(node: Node) -> None:
    node.dir.mkdir()
    (node.dir / "journal").write_text('{"event":"ar')
    with node.serving():
        node.arm()
    lines = (node.dir / "journal").read_text().splitlines()
    assert len(lines) == 2
    assert lines[0] == '{"event":"ar'


def test_a_damaged_state_file_is_told_and_nothing_is_moved(node: Node) -> None:
    node.dir.mkdir()
    (node.dir / "state").write_text("state=armed\n")
    with node.serving():
        answer = node.arm()
    assert (answer["code"], "damaged" in answer["error"]) == ("state", True)
    assert node.manifest.exists()


def test_confirming_twice_is_confirming_once(node: Node) -> None:
    with node.serving():
        node.arm()
        assert not node.confirm()["already"]
        assert node.confirm()["already"]
    assert node.events() == ["armed", "confirmed"]


def test_nothing_can_be_confirmed_that_was_not_armed(node: Node) -> None:
    with node.serving():
        assert node.confirm()["code"] == "state"


def test_a_confirmation_that_comes_too_late_is_told_why(node: Node) -> None:
    with node.serving():
        node.arm()
        node.put_back("it took too long")
        answer = node.confirm()
    assert answer["code"] == "state"
    assert "it took too long" in answer["error"]


def test_a_confirmed_manifest_stays_away(node: Node) -> None:
    with node.serving():
        node.arm()
        node.confirm()
        assert node.put_back()["code"] == "state"
    assert node.kept.exists()
    assert not node.manifest.exists()
