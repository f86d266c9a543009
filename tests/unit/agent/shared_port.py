"""A port that changes hands, in a network of its own: real servers, real sockets, the real kernel.

Only whose the servers are (their pods' cgroups) is made up, as in ``agent_node``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_node import COMPONENT, INSTANCE_UID, STATIC_UID, Node

PORT = 6443
PROBE = "127.0.0.2"
#: Where clients from outside would come to, and other programs on the node.
OUTSIDE = ("10.9.9.1", "fd00::1", "127.0.0.3")
LOOPBACK = ("127.0.0.1", "::1")
#: Where a server that listens on both families calls itself.
OWN = "::1"
#: The protocol of a Go server's listener (Linux 5.6, where the kernel is built with it).
MPTCP = 262
SERVER = Path(__file__).with_name("port_server.py")

_CLONE_NEWNET = 0x40000000
_PIDFD_GETFD = 438


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Put this thread, and what it starts, into a network namespace with some addresses on
    loopback.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace of our own: {os.strerror(ctypes.get_errno())}")
        for words in (
            "link set lo up",
            "addr add 10.9.9.1/32 dev lo",
            "-6 addr add fd00::1/128 dev lo nodad",
        ):
            subprocess.run(["ip", *words.split()], check=True)
        yield
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)


def require_mptcp() -> None:
    """Skip the test if no server can listen as Go's do."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM, MPTCP).close()
    except OSError as error:
        pytest.skip(f"the kernel has no MPTCP: {error}")


def ask(address: str) -> str:
    """Return who answers at the address: a server's name, "nobody" (closed or reset), or "refused"."""
    try:
        with socket.create_connection((address, PORT), timeout=5) as connection:
            connection.sendall(b"?")
            return connection.recv(64).decode() or "nobody"
    except ConnectionResetError:
        return "nobody"
    except ConnectionRefusedError:
        return "refused"


def who(*addresses: str, times: int = 8) -> set[str]:
    """Return all who answer there, each asked several times: a group that isn't steered gives
    itself away.
    """
    return {ask(address) for address in addresses for _ in range(times)}


class Clients:
    """Clients that connect all the time; ``answers`` has who answered, or what went wrong, and
    ``by_client`` the same for each client: only there the order is the order of the questions.
    """

    def __init__(self, *addresses: str) -> None:
        self.answers: list[str] = []
        self.by_client: dict[str, list[str]] = {address: [] for address in addresses}
        self._stopped = False
        self._threads = [threading.Thread(target=self._call, args=(a,)) for a in addresses]
        for thread in self._threads:
            thread.start()

    def _call(self, address: str) -> None:
        while not self._stopped:
            answer = ask(address)
            self.answers.append(answer)
            self.by_client[address].append(answer)

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        for thread in self._threads:
            thread.join()


class SharedPort:
    """A node with a static pod's server on the port."""

    def __init__(self, node: Node) -> None:
        self.node = node
        (node.proc / "net/tcp").unlink()
        (node.proc / "net/tcp6").unlink()
        (node.proc / "net").rmdir()
        (node.proc / "net").symlink_to("/proc/net")
        (node.proc / "sys/net").symlink_to("/proc/sys/net")
        self.migrate_req = Path("/proc/sys/net/ipv4/tcp_migrate_req")

    # ---- servers ----

    def server(
        self, name: str, uid: str, *words: object, comm: str = COMPONENT, port: int = PORT
    ) -> subprocess.Popen[str]:
        """Start a server that answers with its name; it listens when this returns.

        A server of MPTCP skips the test if the kernel has no MPTCP (Debian's cloud kernel 5.10).
        """
        if "--mptcp" in words:
            require_mptcp()
        process = subprocess.Popen(
            [sys.executable, "-S", SERVER, name, str(port), *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        self.node.adopt(process, uid, comm=comm)
        return process

    def old(self, *words: object) -> subprocess.Popen[str]:
        """Start the static pod's server."""
        return self.server("old", STATIC_UID, *words)

    def new(self, *words: object, name: str = "new") -> subprocess.Popen[str]:
        """Start the DaemonSet's server."""
        return self.server(name, INSTANCE_UID, "--share", *words)

    # ---- the agent ----

    @contextlib.contextmanager
    def serving(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        with self.node.serving(*words) as agent:
            self.node.adopt(agent, "none", comm="selfhost-agent")
            yield agent

    def can_share(self) -> dict:
        return self.node.order(
            "can-share", port=PORT, pod_uid=STATIC_UID, instance_uids=[INSTANCE_UID]
        )

    def share(self, way: str = "seamless", component: str = COMPONENT, **changes: str) -> dict:
        fields: dict[str, object] = {
            "pod_uid": STATIC_UID,
            "instance_uids": [INSTANCE_UID],
            "probe_address": PROBE,
            **changes,
        }
        return self.node.order("share", component=component, port=PORT, way=way, **fields)

    def of(self, order: str, **fields: object) -> dict:
        return self.node.order(order, component=COMPONENT, **fields)

    def steer(self) -> dict:
        return self.of("steer")

    def unshare(self) -> dict:
        return self.of("unshare", instance_uids=[INSTANCE_UID])

    def steward(self) -> str:
        return str(self.node.status()["steward"])

    def steers_to_new(self) -> bool:
        return ask(PROBE) == "new"

    def migrates(self) -> bool:
        return self.migrate_req.read_text() == "1\n"

    def is_shared(self, server: subprocess.Popen[str]) -> bool:
        """Return whether the server's listening socket has SO_REUSEPORT. (A bind by another process
        would prove nothing: the kernel remembers that a port was shared once.)
        """
        process = os.pidfd_open(server.pid)
        libc = ctypes.CDLL(None, use_errno=True)
        for name in sorted(os.listdir(f"/proc/{server.pid}/fd"), key=int):
            if os.readlink(f"/proc/{server.pid}/fd/{name}").startswith("socket:"):
                with socket.socket(
                    fileno=libc.syscall(_PIDFD_GETFD, process, int(name), 0)
                ) as sock:
                    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        os.close(process)
                        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
        raise AssertionError("it doesn't listen")


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> None:
    """End a server, and wait until it has gone."""
    process.send_signal(how)
    process.wait(timeout=20)


def settled(check: object, wanted: object, seconds: float = 5.0) -> None:
    """Wait until ``check()`` returns ``wanted``; fail with what it returned."""
    stop = time.monotonic() + seconds
    while (found := check()) != wanted:  # type: ignore[operator]
        assert time.monotonic() < stop, f"{found!r}, not {wanted!r}"
        time.sleep(0.02)
