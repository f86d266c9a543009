"""Waiting for a port: beside sharing and selfish listeners, on real sockets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from agent_node import STATIC_UID, Node, eventually
from shared_port import SharedPort, end

HELD = "waiting: port {port} is held by a process that does not share it"


def listener(address: str, port: int = 0, *, shares: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shares:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if address == "::":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        pytest.skip(f"{address} can't be bound here: {error}")
    sock.listen()
    return sock


class Waiting:
    """An agent that waits for a port; ``lines`` is what it has said so far."""

    def __init__(self, node: Node, out: Path, *words: object, by: Sequence[str] = ()) -> None:
        self._out = out
        with open(out, "w") as stdout:
            self.process = subprocess.Popen(
                [*by, node.program, "wait-port", *map(str, words)],
                stdout=stdout,
                env={"ASAN_OPTIONS": "detect_leaks=0"},
            )

    @property
    def lines(self) -> list[str]:
        return self._out.read_text().splitlines()


Start = Callable[..., Waiting]


@pytest.fixture
def wait(node: Node, tmp_path: Path) -> Iterator[Start]:
    started: list[Waiting] = []

    def start(port: int, *words: object, by: Sequence[str] = ()) -> Waiting:
        out = tmp_path / f"wait-{len(started)}"
        started.append(Waiting(node, out, "--port", port, *words, by=by))
        return started[-1]

    yield start
    for waiting in started:
        waiting.process.kill()
        waiting.process.wait()


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def free_port() -> int:
    with listener("127.0.0.1") as sock:
        return port_of(sock)


@pytest.mark.parametrize("address", ["::", "0.0.0.0", "127.0.0.1", "::1"])
def test_it_waits_for_a_listener_that_does_not_share(wait: Start, address: str) -> None:
    with listener(address) as sock:
        waiting = wait(port_of(sock))
        eventually(lambda: waiting.lines == [HELD.format(port=port_of(sock))])
        time.sleep(0.1)
        assert waiting.process.poll() is None
    assert waiting.process.wait(timeout=20) == 0
    assert "is free after" in waiting.lines[1]


@pytest.mark.parametrize("address", ["::", "0.0.0.0", "127.0.0.1", "::1"])
def test_it_passes_beside_a_listener_that_shares(wait: Start, address: str) -> None:
    with listener(address, shares=True) as sock:
        assert wait(port_of(sock)).process.wait(timeout=20) == 0


def test_it_passes_where_nobody_listens(wait: Start) -> None:
    assert wait(free_port()).process.wait(timeout=20) == 0


def test_accepted_connections_do_not_hold_a_port(wait: Start) -> None:
    with listener("::1") as sock:
        port = port_of(sock)
        client = socket.create_connection(("::1", port))
        accepted, _ = sock.accept()
    with client, accepted:
        assert wait(port).process.wait(timeout=20) == 0


@pytest.mark.parametrize(("address", "other"), [("127.0.0.1", "127.0.0.2"), ("::1", "127.0.0.1")])
def test_another_addresss_listener_does_not_matter(wait: Start, address: str, other: str) -> None:
    with listener(other) as sock:
        waiting = wait(port_of(sock), "--address", address)
        assert waiting.process.wait(timeout=20) == 0


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_means_both_families_as_it_does_to_go(wait: Start, wildcard: str) -> None:
    with listener("::1") as sock:
        waiting = wait(port_of(sock), "--address", wildcard)
        eventually(lambda: len(waiting.lines) == 1)
    assert waiting.process.wait(timeout=20) == 0


def test_all_addresses_must_be_free(wait: Start) -> None:
    with listener("127.0.0.2") as sock:
        waiting = wait(port_of(sock), "--address", "127.0.0.1", "--address", "127.0.0.2")
        eventually(lambda: len(waiting.lines) == 1)
    assert waiting.process.wait(timeout=20) == 0


def test_an_address_that_the_node_does_not_have(wait: Start) -> None:
    waiting = wait(free_port(), "--address", "192.0.2.77")
    eventually(lambda: waiting.lines == ["waiting: this node has no address 192.0.2.77"])


def test_it_never_listens(wait: Start) -> None:
    """Nobody who connects to a shared port may reach an agent that waits."""
    with listener("127.0.0.1", shares=True) as sock, listener("127.0.0.2") as held:
        port = port_of(sock)
        held.close()
        with listener("127.0.0.2", port) as held:
            waiting = wait(port, "--address", "127.0.0.1", "--address", "127.0.0.2")
            eventually(lambda: len(waiting.lines) == 1)
            for _ in range(200):
                with socket.create_connection(("127.0.0.1", port)), sock.accept()[0]:
                    pass
            assert waiting.process.poll() is None


def test_it_waits_for_the_hold_to_go(wait: Start, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    waiting = wait(free_port(), "--hold", hold)
    eventually(lambda: waiting.lines == [f"waiting: hold file {hold}"])
    hold.unlink()
    assert waiting.process.wait(timeout=20) == 0


def test_it_says_when_the_reason_changes(wait: Start, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    with listener("127.0.0.1") as sock:
        waiting = wait(port_of(sock), "--hold", hold)
        eventually(lambda: len(waiting.lines) == 1)
        hold.unlink()
        eventually(lambda: len(waiting.lines) == 2)
        assert waiting.lines[1] == HELD.format(port=port_of(sock))


def test_no_directory_is_no_hold(wait: Start, tmp_path: Path) -> None:
    assert wait(free_port(), "--hold", tmp_path / "none/hold").process.wait(timeout=20) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_component_that_is_not_root_sees_its_hold(node: Node) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(node.program, folder)
        with node.serving():
            node.arm()
            node.put_back()
        kept = Path(folder, "selfhost")
        shutil.copytree(node.dir, kept)
        words = [program, "wait-port", "--port", str(free_port())]
        words += ["--hold", str(kept / "kube-apiserver" / "hold")]
        with subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            text=True,
            user=65534,
            env={"ASAN_OPTIONS": "detect_leaks=0"},
        ) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline().startswith("waiting: hold file")
            waiting.kill()


USER = 2000


@pytest.mark.parametrize("shares", [False, True])
def test_a_low_port_of_a_server_that_is_not_root(
    port: SharedPort, wait: Start, *, shares: bool
) -> None:
    """It has the port by a capability of its program's file. The agent has none such: it is root, with
    the two capabilities of its container."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    first.write_text("443")
    words = ["--user", USER, *(["--share"] if shares else [])]
    server = port.server("old", STATIC_UID, *words, port=443)
    first.write_text("1024")
    root = wait(443)
    allowed = "-all,+net_bind_service,+setuid"
    by = ["setpriv", f"--bounding-set={allowed}", "--inh-caps=-all", "--no-new-privs"]
    waiting = wait(443, "--user", USER, by=by)
    eventually(lambda: root.lines == [HELD.format(port=443)])
    if shares:
        assert waiting.process.wait(timeout=20) == 0
    else:
        eventually(lambda: waiting.lines == [HELD.format(port=443)])
        end(server)
        assert waiting.process.wait(timeout=20) == 0
    assert root.process.poll() is None or not shares


@pytest.mark.parametrize("user", ["-1", "2147483648", "10000000000", "x", ""])
def test_a_user_that_is_none(node: Node, user: str) -> None:
    assert "user can't be" in node.run("wait-port", "--port", 443, "--user", user)["error"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_may_not_become_another_user_says_so(node: Node) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(node.program, folder)
        result = subprocess.run(
            [program, "wait-port", "--port", "443", "--user", "2001"],
            stdout=subprocess.PIPE,
            user=USER,
            env={"ASAN_OPTIONS": "detect_leaks=0"},
            check=False,
        )
    assert b"can't make a socket of user 2001" in result.stdout


def test_it_does_not_end_well_when_told_to_stop(wait: Start) -> None:
    with listener("127.0.0.1") as sock:
        waiting = wait(port_of(sock))
        eventually(lambda: len(waiting.lines) == 1)
        waiting.process.terminate()
        assert waiting.process.wait(timeout=20) == 128 + 15


def test_status_sees_a_real_listener(node: Node) -> None:
    with node.serving(), listener("::1") as sock:
        node.arm(port=port_of(sock))
        net = node.proc / "net"
        net.rename(node.proc / "old")
        net.symlink_to("/proc/net")
        assert node.status()["listening"]
        sock.close()
        assert not node.status()["listening"]
