"""The kernel's rules for a port that several sockets share, without a line of the agent.

Why "Address in use" is answered, by inet_csk_get_port() and inet_bind_conflict() in
net/ipv4/inet_connection_sock.c (Linux; these tests ran on 6.18): a socket with SO_REUSEADDR and
SO_REUSEPORT is refused because of each socket in the port's bucket that

- listens, and has no SO_REUSEPORT or belongs to another user; or
- doesn't listen, and has no SO_REUSEADDR (an accepted connection has what its listener had).

Nothing else in the bucket matters: no accepted connection, no TIME_WAIT, no socket that is being closed,
and no connection that has moved to another listener. An earlier socket of the group matters only the
other way round: what the bucket remembers (fastreuseport) lets a socket in without a look at the others.

So the order of operations decides: SO_REUSEPORT on the old listener first, then whoever joins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from shared_port import MPTCP, PORT, own_network, require_mptcp


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with own_network():
        yield


def make(*, share: bool = True, reuse: bool = True, protocol: int = 0) -> socket.socket:
    if protocol == MPTCP:
        require_mptcp()
    made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, share)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return made


def listen(made: socket.socket) -> socket.socket:
    made.bind(("::", PORT))
    made.listen(128)
    return made


def set_shared(listener: socket.socket, on: bool = True) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, on)


def joins() -> bool:
    """Return whether another socket may listen too."""
    with make() as other:
        try:
            listen(other)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def connected(listener: socket.socket, address: str = "::1") -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection((address, PORT), timeout=5)
    return client, listener.accept()[0]


@pytest.mark.parametrize("protocol", [0, MPTCP], ids=["tcp", "mptcp"])
def test_a_listener_refuses_others_until_it_is_made_shared(protocol: int) -> None:
    with listen(make(share=False, protocol=protocol)) as old:
        assert not joins()
        set_shared(old)
        assert joins()


def test_what_the_old_one_accepted_before_does_not_matter() -> None:
    with listen(make(share=False)) as old, contextlib.ExitStack() as open_ones:
        for address in ("::1", "127.0.0.1", "10.9.9.1"):
            for side in connected(old, address):
                open_ones.enter_context(side)
        for side in reversed(connected(old)):
            side.close()  # the server's side first: it is in TIME_WAIT
        half_open = open_ones.enter_context(socket.create_connection(("::1", PORT)))
        assert half_open.fileno() >= 0
        set_shared(old)
        assert joins()


def test_without_so_reuseaddr_what_was_accepted_before_does_matter() -> None:
    """Go's servers have SO_REUSEADDR always."""
    with listen(make(share=False, reuse=False)) as old:
        client, accepted = connected(old)
        set_shared(old)
        assert not joins()
        accepted.close()
        client.close()


def test_a_listener_of_another_user_refuses_others() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    os.seteuid(65534)
    try:
        old = make()
    finally:
        os.seteuid(0)
    with listen(old):
        assert not joins()


def test_a_group_that_was_lets_others_in_though_the_old_one_shares_no_more() -> None:
    """Why the fault is rare: it takes a port that was never shared before."""
    with listen(make(share=False)) as old:
        set_shared(old)
        assert joins()
        set_shared(old, on=False)
        assert joins()


@pytest.mark.parametrize("protocol", [0, MPTCP], ids=["tcp", "mptcp"])
def test_no_socket_is_refused_while_clients_come_and_listeners_go(protocol: int) -> None:
    """Connections are made, accepted, moved to another listener and closed meanwhile."""
    over = time.monotonic() + 1.5
    asked = 0

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                listener.accept()[0].close()

    def call(address: str) -> None:
        nonlocal asked
        while time.monotonic() < over:
            with contextlib.suppress(OSError):
                socket.create_connection((address, PORT), timeout=5).close()
                asked += 1

    with listen(make(share=False, protocol=protocol)) as old:
        set_shared(old)
        serving = threading.Thread(target=serve, args=(old,))
        clients = [threading.Thread(target=call, args=(a,)) for a in ("::1", "127.0.0.1")]
        for thread in (serving, *clients):
            thread.start()
        while time.monotonic() < over:
            assert joins()
        for thread in clients:
            thread.join()
        old.shutdown(socket.SHUT_RDWR)  # it wakes the one that accepts
        serving.join()
    assert asked > 10
