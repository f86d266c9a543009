"""The zipapp: what is in it, and that it runs wherever it should."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest
from packaged import build, copy_tree, interpreters, is_served

SERVED = {v: path for v, path in interpreters().items() if is_served(v)}
TOO_OLD = {v: path for v, path in interpreters().items() if not is_served(v)}
NO_CLUSTER = ("status", "--kubeconfig", "/dev/null/config")


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": "/dev/null"} | environment,
    )


def only(folder: Path, *programs: Path, name: str = "") -> str:
    """Return a PATH with nothing but ``programs`` in it, as ``name`` if it is given."""
    folder.mkdir()
    for program in programs:
        (folder / (name or program.name)).symlink_to(program)
    return str(folder)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_two_builds_give_the_same_bytes(dist: Path, tree: Path, tmp_path: Path):
    before = os.umask(0o077)
    try:
        again = build(copy_tree(tmp_path / "elsewhere", tree), TZ="Asia/Tokyo", LC_ALL="C")
    finally:
        os.umask(before)
    names = [path.name for path in dist.iterdir()]
    assert {name: digest(again / name) for name in names} == {
        name: digest(dist / name) for name in names
    }


def test_it_has_at_most_8_mb(zipapp: Path):
    assert zipapp.stat().st_size <= 8_000_000


def test_everyone_may_run_it(zipapp: Path):
    assert stat.S_IMODE(zipapp.stat().st_mode) == 0o755


def test_nothing_in_it_is_compiled_but_our_programs(zipapp: Path):
    with zipfile.ZipFile(zipapp) as archive:
        compiled = [name for name in archive.namelist() if archive.read(name)[:4] == b"\x7fELF"]
    folder = "site-packages/kubectl_selfhost/node/binaries"
    cpus = ("amd64", "arm", "arm64", "ppc64le", "s390x")
    programs = [f"{folder}/{program}-{cpu}" for program in ("agent", "reach") for cpu in cpus]
    assert sorted(compiled) == programs


def test_nothing_in_it_tells_of_the_machine_that_built_it(zipapp: Path, tree: Path):
    with zipfile.ZipFile(zipapp) as archive:
        found = [name for name in archive.namelist() if str(tree).encode() in archive.read(name)]
    assert found == []


@pytest.mark.parametrize("version", SERVED)
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["pivot", "--help"]])
def test_it_runs(zipapp: Path, tmp_path: Path, version: str, words: list[str]):
    done = run(SERVED[version], zipapp, *words, HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", SERVED)
@pytest.mark.parametrize("unpacked", [True, False])
def test_its_libraries_load(zipapp: Path, tmp_path: Path, version: str, unpacked: bool):
    home = str(tmp_path) if unpacked else "/dev/null"
    done = run(SERVED[version], zipapp, *NO_CLUSTER, HOME=home)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "/dev/null/config" in done.stderr
    assert "unexpected error" not in done.stderr


@pytest.mark.parametrize("version", TOO_OLD)
def test_too_old_a_python_is_told_so(zipapp: Path, version: str):
    done = run(TOO_OLD[version], zipapp, "--version")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: kubectl-selfhost needs Python 3.10 or newer; ")
    assert done.stderr.count("\n") == 2


@pytest.mark.skipif(not TOO_OLD, reason="this machine has no old Python")
def test_a_newer_python_behind_an_old_one_is_found(zipapp: Path, tmp_path: Path):
    old = only(tmp_path / "old", list(TOO_OLD.values())[-1], name="python3")
    new = only(tmp_path / "new", next(iter(SERVED.values())))
    assert run(zipapp, "--version", PATH=f"{old}:{new}").returncode == 0


def test_the_python_of_the_environment_is_used(zipapp: Path):
    done = run(zipapp, "--version", KUBECTL_SELFHOST_PYTHON="/bin/echo")
    assert done.stdout == f"-I -S {zipapp} --version\n"


def test_no_python_at_all_is_told(zipapp: Path, tmp_path: Path):
    done = run(zipapp, "--version", PATH=only(tmp_path / "empty"))
    assert done.returncode == 1
    assert "there is no python3 in the PATH" in done.stderr


def test_what_is_installed_for_that_python_is_of_no_concern(zipapp: Path, tmp_path: Path):
    (tmp_path / "typer.py").write_text("raise SystemExit('the wrong typer')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('not ours')")
    done = run(zipapp, "pivot", "--help", PYTHONPATH=str(tmp_path), HOME=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--help"], ["completion", "kubectl"]])
def test_a_home_that_cant_be_written_is_no_obstacle(zipapp: Path, words: list[str]):
    done = run(zipapp, *words, HOME="/dev/null")
    assert (done.returncode, done.stderr) == (0, "")
    assert "kubectl selfhost" in done.stdout


def test_the_agents_are_found_in_the_archive_itself(zipapp: Path):
    code = (
        f"import sys; sys.path.insert(0, '{zipapp}/site-packages')\n"
        "from kubectl_selfhost.node import binaries\n"
        "print(*(binaries.secret_name(cpu) for cpu in binaries.ARCHITECTURES))"
    )
    done = run(next(iter(SERVED.values())), "-I", "-S", "-c", code)
    assert len(done.stdout.split()) == 5, done.stderr
