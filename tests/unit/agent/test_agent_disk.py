"""Full disks, two file systems, and an agent that is killed at any moment."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_node import FILE, MANIFEST, Node, eventually

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tmpfs")
#: A manifest that is several pages long, so that half of one could be told from a whole.
LARGE = MANIFEST + b"# padding\n" * 3000


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Yield a node whose agent's directory is a file system of its own, of 64 KiB."""
    directory = tmp_path / "selfhost"
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k,mode=0700"]
    if subprocess.run(["mount", *options, "selfhost", directory]).returncode != 0:
        pytest.skip("a tmpfs can't be mounted here")
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path) -> None:
    with open(directory / ".filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass


@needs_mount
def test_check_tells_two_file_systems(mounted: Path, node: Node) -> None:
    answer = node.order("check", manifests=node.manifests)
    assert answer["same_filesystem"] is False


@needs_mount
def test_two_mounts_of_one_file_system_are_two(node: Node, tmp_path: Path) -> None:
    bound = tmp_path / "bound"
    bound.mkdir()
    node.dir.mkdir()
    if subprocess.run(["mount", "--bind", node.dir, bound]).returncode != 0:
        pytest.skip("no bind mount can be made here")
    try:
        answer = node.order("check", dir=bound, manifests=node.manifests)
    finally:
        subprocess.run(["umount", bound], check=True)
    assert answer["same_filesystem"] is False


@needs_mount
def test_a_manifest_goes_to_another_file_system_and_back(mounted: Path, node: Node) -> None:
    node.manifest.chmod(0o640)
    os.chown(node.manifest, 1, 2)
    os.utime(node.manifest, ns=(10**18, 10**18 + 1))
    before = node.manifest.stat()
    with node.serving():
        node.arm()
        away = node.kept.stat()
        assert not node.manifest.exists()
        node.put_back()
    after = node.manifest.stat()
    for stat in (away, after):
        assert (stat.st_mode, stat.st_uid, stat.st_gid) == (before.st_mode, 1, 2)
        assert stat.st_mtime_ns == before.st_mtime_ns
    assert node.manifest.read_bytes() == MANIFEST
    assert sorted(os.listdir(node.manifests)) == [FILE]
    assert os.listdir(node.kept.parent) == ["hold"]


@needs_mount
def test_a_full_disk_leaves_all_as_it_was(mounted: Path, node: Node) -> None:
    with node.serving():
        node.status()
        fill(mounted)
        answer = node.arm()
        assert node.status()["state"] == "idle"
    assert answer["code"] == "disk-full"
    assert str(mounted) in answer["error"]
    assert node.manifest.read_bytes() == MANIFEST
    assert not node.kept.exists()


@needs_mount
def test_a_disk_too_full_for_the_manifest_leaves_all_as_it_was(mounted: Path, node: Node) -> None:
    large = b"#" * 100_000
    node.put_manifest(large)
    with node.serving():
        answer = node.arm(sha256=hashlib.sha256(large).hexdigest())
        assert node.status()["state"] == "idle"
    assert answer["code"] == "disk-full"
    assert node.manifest.read_bytes() == large
    assert os.listdir(node.kept.parent) == []
    assert node.events() == ["armed", "arm-failed"]


@needs_mount
def test_a_failed_arm_gives_kept_files_and_hold_back(mounted: Path, node: Node) -> None:
    large = b"#" * 100_000
    node.put_manifest(large)
    node.kept.parent.mkdir()
    node.kept.write_text("old")
    node.hold.touch()
    with node.serving():
        node.arm(sha256=hashlib.sha256(large).hexdigest())
    assert sorted(os.listdir(node.kept.parent)) == ["hold", FILE]
    assert node.kept.read_text() == "old"


@needs_mount
def test_a_manifest_comes_back_from_a_full_disk(mounted: Path, node: Node) -> None:
    with node.serving():
        node.arm()
        fill(mounted)
        assert node.put_back("the disk is full")["state"] == "put-back"
        assert node.status()["reason"] == "the disk is full"
    assert node.manifest.read_bytes() == MANIFEST


@needs_mount
def test_a_hand_over_is_confirmed_on_a_full_disk(mounted: Path, node: Node) -> None:
    with node.serving():
        node.arm()
        fill(mounted)
        assert node.confirm()["state"] == "confirmed"
        assert node.status()["state"] == "confirmed"


@needs_mount
def test_check_tells_a_full_disk(mounted: Path, node: Node) -> None:
    fill(mounted)
    answer = node.order("check", manifests=node.manifests)
    assert answer["code"] == "disk-full"
    assert answer["error"].startswith(f"cannot write {mounted}/.check.part: No space left")


@needs_mount
def test_putting_back_is_tried_again_until_there_is_room(node: Node, tmp_path: Path) -> None:
    node.manifest.unlink()
    options = ["-t", "tmpfs", "-o", "size=64k"]
    if subprocess.run(["mount", *options, "manifests", node.manifests]).returncode != 0:
        pytest.skip("a tmpfs can't be mounted here")
    try:
        node.put_manifest(LARGE)
        with node.serving():
            node.arm(sha256=hashlib.sha256(LARGE).hexdigest())
            fill(node.manifests)
            assert node.put_back()["code"] == "disk-full"
            assert not node.manifest.exists()
            (node.manifests / ".filler").unlink()
            eventually(lambda: node.status()["state"] == "put-back")
        assert node.manifest.read_bytes() == LARGE
    finally:
        subprocess.run(["umount", "--lazy", node.manifests], check=True)


def places(node: Node) -> list[Path]:
    """Return where the manifest is, whole."""
    found = [path for path in (node.manifest, node.kept) if path.exists()]
    assert all(path.read_bytes() == LARGE for path in found), "half a manifest"
    return found


def kill_somewhere(process: subprocess.Popen[str], chance: random.Random, longest: float) -> None:
    time.sleep(chance.uniform(0, longest))
    process.send_signal(signal.SIGKILL)
    process.communicate()


def reset(node: Node) -> None:
    for path in node.dir.rglob("*"):
        if path.is_file() and path.name not in ("agent.lock", "lock"):
            path.unlink()
    node.put_manifest(LARGE)


def kill_round(node: Node, chance: random.Random, longest: float) -> bool:
    """Kill one arm at a random moment; return whether it had any effect."""
    reset(node)
    order = node.arm_fields(sha256=hashlib.sha256(LARGE).hexdigest())
    kill_somewhere(node.give("arm", **order), chance, longest)
    found = places(node)
    assert found, "the manifest is lost"
    status = node.status()
    assert status["state"] in ("idle", "armed")
    if status["state"] == "idle":
        assert found == [node.manifest]
        return False
    # Whatever half of it was done: the same order again finishes it, and it can be taken back.
    if chance.random() < 0.5:
        assert node.order("arm", **order)["already"]
        assert places(node) == [node.kept]
    put_back = node.give("put-back", component="kube-apiserver", reason="x")
    kill_somewhere(put_back, chance, longest)
    assert places(node), "the manifest is lost"
    if node.status()["state"] != "put-back":
        node.put_back()
    assert places(node) == [node.manifest]
    return True


def duration(node: Node) -> float:
    start = time.monotonic()
    node.arm(sha256=hashlib.sha256(LARGE).hexdigest())
    return time.monotonic() - start


def kill_rounds(node: Node, rounds: int) -> None:
    chance = random.Random(7)
    with node.serving():
        reset(node)
        longest = duration(node)
        node.put_back()
        came_far = [kill_round(node, chance, longest) for _ in range(rounds)]
    assert any(came_far)


def test_arm_and_put_back_may_be_killed_at_any_moment(node: Node) -> None:
    kill_rounds(node, 25)


@needs_mount
def test_the_same_across_file_systems(mounted: Path, node: Node) -> None:
    kill_rounds(node, 25)


def test_the_switch_finishes_what_was_half_put_back(node: Node) -> None:
    with node.serving():
        node.arm()
    state = (node.dir / "state").read_text()
    half = state.replace("state=armed", "state=putting-back\nreason=half done")
    (node.dir / "state").write_text(half)
    with node.serving():
        eventually(lambda: node.status()["state"] == "put-back")
        assert node.status()["reason"] == "half done"
    assert node.manifest.read_bytes() == MANIFEST
