"""Who gets which connection while a recovery copy stands in, by the real kernel."""

from __future__ import annotations

import signal
import subprocess

import pytest
from agent_node import COMPONENT
from shared_port import Clients, SharedPort, ask, end, settled, who

OUTSIDE = ("10.9.9.1", "fd00::1", "127.0.0.4")
NEAR = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1")


@pytest.fixture
def guarded(port: SharedPort) -> SharedPort:
    """Return a node with a copy of the API server in place, which the guardian looks after."""
    node = port.node
    node.manifest.unlink()
    (node.dir / "recovery").mkdir(parents=True)
    (node.dir / "recovery" / "guarded").write_text(f"component={COMPONENT}\nport=6443\nend=1\n")
    (node.dir / "recovery" / f"{COMPONENT}.yaml").write_text("copy")
    (node.manifests / f"kubectl-selfhost-recovery-{COMPONENT}.yaml").write_text("copy")
    return port


def start_guardian(port: SharedPort) -> subprocess.Popen[str]:
    """Start the guardian; return when it has handled the copy."""
    node = port.node
    process = node.popen(
        *("guard", "--dir", node.dir, "--manifests", node.manifests, "--proc", node.proc)
    )
    assert process.stdout is not None
    process.stdout.readline()
    said = process.stdout.readline()
    assert "has all connections" in said, said
    return process


@pytest.mark.parametrize("kind", [(), ("--mptcp",), ("--address", "0.0.0.0")])
def test_the_daemonsets_own_gets_only_what_it_needs_until_the_copy_goes(
    guarded: SharedPort, kind: tuple
) -> None:
    outside, near = OUTSIDE, NEAR
    if "0.0.0.0" in kind:
        outside, near = ("10.9.9.1", "127.0.0.4"), NEAR[:3]
    copy = guarded.server("copy", "copy", "--share", *kind)
    guardian = start_guardian(guarded)
    assert who(*outside, *near) == {"copy"}
    for _ in range(2):  # it crashes once
        own = guarded.new(*kind)
        settled(lambda: who(*near), {"new"})
        assert who(*outside) == {"copy"}
        end(own, signal.SIGKILL)
        assert who(*outside, *near) == {"copy"}
    guarded.new(*kind)
    end(guardian)  # it isn't needed any more
    assert guardian.returncode == 0
    assert who(*outside) == {"copy"}
    end(copy)
    assert who(*outside, *near) == {"new"}


def test_no_client_is_refused_when_the_copy_goes(guarded: SharedPort) -> None:
    copy = guarded.server("copy", "copy", "--share")
    start_guardian(guarded)
    guarded.new()
    with Clients("10.9.9.1") as clients:
        settled(lambda: len(clients.answers) > 20, True)
        end(copy)
        settled(lambda: clients.answers[-1], "new")
    assert "refused" not in clients.answers


def test_a_second_copy_is_seen_to_as_well(guarded: SharedPort) -> None:
    first = guarded.server("first", "copy", "--share")
    guardian = start_guardian(guarded)
    end(first, signal.SIGKILL)
    guarded.server("second", "copy", "--share")
    assert guardian.stdout is not None
    assert "has all connections" in guardian.stdout.readline()
    guarded.new()
    settled(lambda: ask("127.0.0.2"), "new")
    assert who(*OUTSIDE) == {"second"}
