"""The copy that the zipapp unpacks: made once, trusted only if the user owns it, removed when
outdated.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the directory where the copies are kept."""
    return tmp_path / "cache" / "kubectl-selfhost" / "unpacked"


@pytest.fixture
def run(zipapp: Path, tmp_path: Path) -> Run:
    """Return a function that runs the program with a cache of its own, and returns what it prints."""

    def go(*words: str, **environment: str) -> str:
        environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")} | environment
        done = subprocess.run(
            [str(zipapp), *(words or ["--version"])],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": "/dev/null"} | environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return go


def copies(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if not path.name.startswith("."))


def former(place: Path) -> Path:
    """Return the copy of a former version."""
    path = place / "kubectl-selfhost_00ff"
    (path / "site-packages").mkdir(parents=True)
    place.chmod(0o700)
    (place / f".{path.name}_lock").touch()
    return path


def test_it_is_made_once(run: Run, place: Path):
    run()
    first = {path: path.stat().st_ino for path in place.rglob("*.py")}
    run()
    assert first
    assert {path: path.stat().st_ino for path in place.rglob("*.py")} == first


def test_only_we_may_write_there(run: Run, place: Path):
    run()
    assert [path for path in place.rglob("*") if path.stat().st_mode & 0o022] == []
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_former_versions_is_removed(run: Run, place: Path):
    old = former(place)
    run()
    assert old.name not in copies(place)
    assert len(os.listdir(place)) == 2  # the copy and its lock


def test_a_former_versions_that_runs_now_is_kept(run: Run, place: Path):
    old = former(place)
    handle = os.open(old, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    run()
    os.close(handle)
    assert old.name in copies(place)


def test_it_is_held_while_we_run(zipapp: Path, run: Run, place: Path, tmp_path: Path):
    run()
    [copy] = copies(place)
    fifo = tmp_path / "kubeconfig"
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [str(zipapp), "status", "--kubeconfig", str(fifo)],
        env={"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache")},
        stderr=subprocess.DEVNULL,
    )
    with child, fifo.open("w"):  # opened by both: it runs, and waits for us
        handle = os.open(place / copy, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
        child.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_one_that_others_may_write_is_not_used(run: Run, place: Path, mode: int):
    run()
    [copy] = copies(place)
    (place / copy).chmod(mode)
    trap = place / copy / "site-packages" / "kubectl_selfhost" / "__main__.py"
    trap.write_text("raise SystemExit('trapped')")
    assert run().startswith("kubectl-selfhost v")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("given", [".", "start.py"])
def test_one_of_somebody_else_is_not_used(run: Run, place: Path, given: str):
    run()
    [copy] = copies(place)
    os.chown(place / copy / given, 12345, 12345)
    traps = ["start.py"] if given != "." else ["site-packages/kubectl_selfhost/__main__.py"]
    for trap in traps:
        (place / copy / trap).write_text("raise SystemExit('trapped')")
    assert run().startswith("kubectl-selfhost v")


def test_the_second_run_does_not_open_the_archive(zipapp: Path, run: Run, place: Path):
    run()
    [copy] = copies(place)
    start = place / copy / "start.py"
    start.write_text(start.read_text() + "\nprint('from the copy')\n")
    assert run().endswith("from the copy\n")


def test_an_interrupted_unpacking_is_done_again(run: Run, place: Path):
    run()
    [copy] = copies(place)
    (place / copy).rename(place / f"{copy}.tmp")
    (place / f"{copy}.tmp" / "site-packages" / "typer" / "main.py").unlink()
    assert "Usage: kubectl selfhost pivot" in run("pivot", "--help")


def test_two_first_runs_at_once_both_work(zipapp: Path, tmp_path: Path):
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path)}
    children = [
        subprocess.Popen([str(zipapp), "pivot", "--help"], env=environment, stdout=-3)
        for _ in range(4)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]


def test_shiv_root_is_heeded(run: Run, tmp_path: Path):
    run(SHIV_ROOT=str(tmp_path / "elsewhere"))
    assert copies(tmp_path / "elsewhere")
