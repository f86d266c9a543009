"""The parsers under noise, and the programs that are shipped."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SOURCES, compile_agent

BINARIES = SOURCES.parents[1] / "kubectl_selfhost" / "node" / "binaries"
#: The ELF header's machine, and whether its words are little-endian.
MACHINES = {
    "amd64": (62, "little"),
    "arm64": (183, "little"),
    "arm": (40, "little"),
    "ppc64le": (21, "little"),
    "s390x": (22, "big"),
}
NATIVE = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}


#: Bytes that a program may have.
LARGEST = {"agent": 185_000, "reach": 40_000}


def shipped(program: str, arch: str) -> Path:
    file = BINARIES / f"{program}-{arch}"
    if not file.exists():
        pytest.skip(f"{file.name} isn't built; build it with: make agents")
    return file


def test_no_noise_breaks_a_parser(tmp_path: Path) -> None:
    compile_agent(tmp_path / "fuzz", Path(__file__).with_name("fuzz.c"))
    result = subprocess.run([tmp_path / "fuzz", "20000"], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "20000\n", "")


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("base", {"base"}),
        ("node", {"base", "node"}),
        ("credentials", {"base", "credentials"}),
        ("handover", {"base", "node", "credentials", "handover", "steward"}),
        ("steward", {"base", "node", "handover", "steward"}),
        ("guardian", {"base", "node", "handover", "steward", "guardian"}),
    ],
)
def test_a_folder_of_the_agent_uses_what_it_may(folder: str, allowed: set[str]) -> None:
    text = "".join(path.read_text() for path in (SOURCES / folder).glob("*.[ch]"))
    used = set(re.findall(r'^#include "([a-z]+)/', text, re.MULTILINE))
    assert used <= allowed
    assert folder in used


@pytest.mark.parametrize("program", LARGEST)
@pytest.mark.parametrize("arch", MACHINES)
def test_a_shipped_program_is_of_its_cpu_and_needs_no_library(program: str, arch: str) -> None:
    content = shipped(program, arch).read_bytes()
    machine, order = MACHINES[arch]
    assert content[:4] == b"\x7fELF"
    assert int.from_bytes(content[18:20], order) == machine  # type: ignore[arg-type]
    assert b"ld-musl" not in content
    assert b"ld-linux" not in content


@pytest.mark.parametrize("program", LARGEST)
@pytest.mark.parametrize("arch", MACHINES)
def test_a_shipped_program_is_small_and_says_nothing_of_its_builder(
    program: str, arch: str
) -> None:
    content = shipped(program, arch).read_bytes()
    assert len(content) < LARGEST[program]
    assert str(Path.home()).encode() + b"/" not in content
    assert str(SOURCES.parents[1]).encode() not in content


def test_the_shipped_program_runs_on_this_machine() -> None:
    arch = NATIVE.get(platform.machine())
    if arch is None:
        pytest.skip(f"none is shipped for {platform.machine()}")
    result = subprocess.run([shipped("agent", arch), "version"], capture_output=True, check=True)
    assert set(json.loads(result.stdout)) == {"version"}
    result = subprocess.run([shipped("reach", arch)], capture_output=True)
    assert json.loads(result.stdout)["code"] == "usage"


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="zig is not installed here (pip install ziglang)")
    digests = set()
    for name in ("first", "second"):
        words = [sys.executable, SOURCES / "build.py", "amd64", "--out", tmp_path / name]
        subprocess.run(words, check=True, capture_output=True)
        built = [(tmp_path / name / f"{program}-amd64").read_bytes() for program in LARGEST]
        digests.add(tuple(hashlib.sha256(content).hexdigest() for content in built))
    assert len(digests) == 1
