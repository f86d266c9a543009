"""The agent under sanitizers, and a node to try it on."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_node import Node
from shared_port import SharedPort, own_network

SOURCES = Path(__file__).resolve().parents[3] / "packaging" / "agent"
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes"]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_c(output: Path, *sources: Path) -> None:
    """Compile C files under sanitizers."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler here (gcc or clang)")
    command = [compiler, *FLAGS, "-Werror", *SANITIZERS, f"-I{SOURCES}", *sources]
    subprocess.run([*command, "-o", output], check=True)


def compile_agent(output: Path, *sources: Path) -> None:
    """Compile the agent, or ``sources`` with all of it but its main()."""
    parts = [path for path in sorted(SOURCES.rglob("*.c")) if not (sources and path.stem == "main")]
    compile_c(output, *parts, *sources)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the agent, built once for all of pytest-xdist's workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    output = shared / "agent"
    with open(shared / "agent.building", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            compile_agent(shared / "agent.part")
            (shared / "agent.part").rename(output)
    return output


@pytest.fixture
def node(program: Path, tmp_path: Path) -> Iterator[Node]:
    """Yield a node with a static pod's manifest in its place."""
    node = Node(program, tmp_path)
    node.put_manifest()
    yield node
    node.close()


@pytest.fixture
def port(node: Node) -> Iterator[SharedPort]:
    """Yield the node in a network of its own."""
    with own_network():
        yield SharedPort(node)
        node.close()
