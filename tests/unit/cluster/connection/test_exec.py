from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.bad_server import Request, Server, TokenLogin, reset, status

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import ApiError, Forbidden, NotFound, Unreachable
from kubectl_selfhost.errors import SelfhostError

SUCCESS = {"status": "Success"}


def failed(code: str) -> dict[str, Any]:
    causes = [{"reason": "ExitCode", "message": code}]
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


def frame(payload: bytes, opcode: int = 2, final: bool = True) -> bytes:
    """Return a server's websocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 65536:
        return head + bytes([126]) + size.to_bytes(2, "big") + payload
    return head + bytes([127]) + size.to_bytes(8, "big") + payload


def status_frame(said: dict[str, Any]) -> bytes:
    return frame(b"\x03" + json.dumps(said).encode())


CLOSE = frame((1000).to_bytes(2, "big"), opcode=8)


def accept(sock: ssl.SSLSocket, request: Request, protocol: str, first: bytes = b"") -> None:
    """Upgrade to a websocket; send ``first`` together with the upgrade."""
    guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    key = (request.header("Sec-WebSocket-Key") + guid).encode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Protocol: {protocol}",
        "Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key).digest()).decode(),
    ]
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + first)


def end(sock: ssl.SSLSocket) -> None:
    """Close as a real server does: closing with something unread would tear what was sent."""
    sock.settimeout(2.0)
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(4096):
        pass


def answers(server: Server, *frames: bytes, pause: float = 0.0) -> None:
    """Have the server accept a websocket and send ``frames``, as they are, then close."""

    def upgrade(sock: ssl.SSLSocket, request: Request) -> bool:
        if "upgrade" not in request.headers:
            return False
        accept(sock, request, "v5.channel.k8s.io", b"".join(frames[:1]))
        time.sleep(pause)
        sock.sendall(b"".join(frames[1:]))
        end(sock)
        return True

    server.raw = upgrade


def messages(sock: ssl.SSLSocket) -> Iterator[bytes]:
    """Yield the messages that the client sends, unmasked."""

    def read(count: int) -> bytes:
        data = b""
        while len(data) < count and (part := sock.recv(count - len(data))):
            data += part
        return data

    while len(head := read(2)) == 2:
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(read(2), "big")
        mask = read(4)
        yield bytes(byte ^ mask[i % 4] for i, byte in enumerate(read(size)))


def takes_a_line(server: Server, protocol: str) -> list[bytes]:
    """Have the server read stdin up to a newline and answer with it; return the messages that came."""
    came: list[bytes] = []

    def upgrade(sock: ssl.SSLSocket, request: Request) -> bool:
        accept(sock, request, protocol)
        for message in messages(sock):
            came.append(message)
            if message.endswith(b"\n"):
                break
        line = b"".join(message[1:] for message in came)
        sock.sendall(frame(b"\x01" + line) + status_frame(SUCCESS) + CLOSE)
        end(sock)
        return True

    server.raw = upgrade
    return came


def test_output_and_exit_code_come_back(server: Server, cluster: Cluster) -> None:
    answers(server, frame(b"\x01out"), frame(b"\x02err"), status_frame(SUCCESS), CLOSE)
    result = cluster.exec("p", "c", ["echo", "a b"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out", "err")


def test_the_command_is_sent_word_by_word(server: Server, cluster: Cluster) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    cluster.exec("p", "c", ["echo", "a b", "&x=1"], namespace="n")
    url = urlsplit(server.requests[0].path)
    assert url.path == "/api/v1/namespaces/n/pods/p/exec"
    assert parse_qs(url.query)["command"] == ["echo", "a b", "&x=1"]
    assert "v4.channel.k8s.io" in server.requests[0].header("Sec-WebSocket-Protocol")


def test_another_exit_code_is_no_error(server: Server, cluster: Cluster) -> None:
    answers(server, status_frame(failed("7")), CLOSE)
    assert cluster.exec("p", "c", ["false"]).exit_code == 7


def test_output_that_comes_after_the_status_counts(server: Server, cluster: Cluster) -> None:
    answers(server, status_frame(SUCCESS), frame(b"\x01late"), CLOSE, pause=0.2)
    assert cluster.exec("p", "c", ["x"]).stdout == "late"


def test_much_output_comes_whole(server: Server, cluster: Cluster) -> None:
    line = b"0123456789abcdef" * 64
    frames = [frame(b"\x01" + line) for _ in range(300)]
    answers(server, *frames, frame(b"\x01" + b"x" * 100_000), status_frame(SUCCESS), CLOSE)
    began = time.monotonic()
    assert len(cluster.exec("p", "c", ["cat"]).stdout) == 300 * 1024 + 100_000
    assert time.monotonic() - began < 5  # not its time limit


def test_pings_and_pieces_are_understood(server: Server, cluster: Cluster) -> None:
    pieces = [frame(b"\x01ab", final=False), frame(b"cd", opcode=0)]
    answers(server, frame(b"hello", opcode=9), *pieces, status_frame(SUCCESS), CLOSE)
    assert cluster.exec("p", "c", ["x"]).stdout == "abcd"


def test_an_end_without_status_is_not_taken_for_success(server: Server, cluster: Cluster) -> None:
    answers(server, frame(b"\x01half"))
    with pytest.raises(Unreachable, match="its end was not seen") as caught:
        cluster.exec("p", "c", ["x"])
    assert caught.value.may_have_run


def test_a_command_that_does_not_end_is_unreachable(server: Server, cluster: Cluster) -> None:
    answers(server, frame(b"\x01a"), status_frame(SUCCESS), CLOSE, pause=3.0)
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        cluster.exec("p", "c", ["sleep"], timeout=0.4)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 2.5


def test_what_may_have_run_is_never_run_again(server: Server, cluster: Cluster) -> None:
    answers(server, frame(b"\x01half"))
    with cluster.waiting(10), pytest.raises(Unreachable):
        cluster.exec("p", "c", ["x"])
    assert len(server.requests) == 1


def test_a_program_that_is_not_there_is_an_error(server: Server, cluster: Cluster) -> None:
    said = {"status": "Failure", "message": "no such file \x1b[1m", "code": 500}
    answers(server, status_frame(said), CLOSE)
    with pytest.raises(ApiError, match=r"could not be run in the container: no such file \^\["):
        cluster.exec("p", "c", ["nothing"])


def test_a_pod_that_is_absent_is_not_found(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(404, "NotFound", 'pods "p" not found')
    with pytest.raises(NotFound, match='exec into pods "p"'):
        cluster.exec("p", "c", ["x"])


def test_a_refusal_is_told(server: Server, cluster: Cluster) -> None:
    server.answer = lambda _: status(403, "Forbidden", 'User "jane" cannot create pods/exec')
    with pytest.raises(Forbidden, match="jane"):
        cluster.exec("p", "c", ["x"])


def test_an_outage_before_the_command_is_outlasted(server: Server, cluster: Cluster) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    server.answers = []
    port = server.port
    assert port
    upgrade, calls = server.raw, [0]

    def torn_first(sock: ssl.SSLSocket, request: Request) -> bool:
        calls[0] += 1
        if calls[0] == 1:
            sock.close()
            return True
        assert upgrade is not None
        return upgrade(sock, request)

    server.raw = torn_first
    with cluster.waiting(10):
        assert cluster.exec("p", "c", ["x"]).exit_code == 0


def test_who_we_are_is_said_here_too(server: Server, login: TokenLogin) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    groups = [("Impersonate-User", "u"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]
    Cluster(Transport(login, impersonate=groups)).exec("p", "c", ["x"])
    request = server.requests[0]
    assert request.header("Authorization") == "Bearer s3cret-t0ken"
    assert request.headers["impersonate-group"] == ["a", "b"]


def test_the_log_does_not_hold_the_command(server: Server, login: TokenLogin) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    lines: list[str] = []
    Cluster(Transport(login, log=lines.append)).exec("p", "c", ["tell", "s3cret"])
    assert len(lines) == 1
    assert "s3cret" not in lines[0]


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v5.channel.k8s.io"])
def test_stdin_goes_over_its_channel_and_nowhere_else(
    server: Server, cluster: Cluster, protocol: str
) -> None:
    came = takes_a_line(server, protocol)
    assert cluster.exec("p", "c", ["agent", "order"], stdin=b"hidd3n\n").stdout == "hidd3n\n"
    assert came == [b"\x00hidd3n\n"]
    query = parse_qs(urlsplit(server.requests[0].path).query)
    assert query == {
        "container": ["c"],
        "stdin": ["1"],
        "stdout": ["1"],
        "stderr": ["1"],
        "command": ["agent", "order"],
    }
    assert "hidd3n" not in str(server.requests[0].headers)


def test_without_stdin_none_is_asked_for(server: Server, cluster: Cluster) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    cluster.exec("p", "c", ["x"])
    assert "stdin" not in parse_qs(urlsplit(server.requests[0].path).query)


def test_long_stdin_comes_whole_in_pieces(server: Server, cluster: Cluster) -> None:
    came = takes_a_line(server, "v4.channel.k8s.io")
    line = b"0123456789abcde" * 20_000 + b"\n"
    assert cluster.exec("p", "c", ["x"], stdin=line).stdout.encode() == line
    assert {message[0] for message in came} == {0}
    assert max(map(len, came)) == 32 * 1024 + 1


def test_a_server_that_takes_no_input_but_says_why_is_heard(
    server: Server, cluster: Cluster
) -> None:
    said = {"status": "Failure", "message": "no such container", "code": 500}
    answers(server, status_frame(said), CLOSE)
    with pytest.raises(ApiError, match="no such container"):
        cluster.exec("p", "c", ["x"], stdin=b"x" * 1_000_000 + b"\n")


def test_a_server_that_does_not_take_the_input_is_unreachable(
    server: Server, cluster: Cluster
) -> None:
    def upgrade(sock: ssl.SSLSocket, request: Request) -> bool:
        accept(sock, request, "v5.channel.k8s.io")
        time.sleep(3.0)
        return True

    server.raw = upgrade
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        cluster.exec("p", "c", ["x"], stdin=b"x" * 30_000_000, timeout=0.5)
    assert (caught.value.reason, caught.value.may_have_run) == ("timeout", True)
    assert time.monotonic() - began < 2.5


def test_a_server_that_ends_before_it_has_the_input_is_unreachable(
    server: Server, cluster: Cluster
) -> None:
    def upgrade(sock: ssl.SSLSocket, request: Request) -> bool:
        accept(sock, request, "v5.channel.k8s.io")
        reset(sock)
        return True

    server.raw = upgrade
    with pytest.raises(Unreachable) as caught:
        cluster.exec("p", "c", ["x"], stdin=b"x" * 3_000_000)
    assert caught.value.may_have_run


def test_neither_the_log_nor_an_error_holds_the_input(server: Server, login: TokenLogin) -> None:
    lines: list[str] = []
    cluster = Cluster(Transport(login, log=lines.append))
    answers(server, status_frame({"status": "Failure", "message": "no"}), CLOSE)
    with pytest.raises(ApiError) as refused:
        cluster.exec("p", "c", ["agent", "order"], stdin=b"hidd3n\n")
    answers(server, frame(b"\x01half"))
    with pytest.raises(Unreachable) as torn:
        cluster.exec("p", "c", ["agent", "order"], stdin=b"hidd3n\n")
    assert len(lines) == 2
    assert "hidd3n" not in "".join([*lines, repr(refused.value), repr(torn.value)])


def test_who_was_frozen_while_the_way_was_opened_sends_no_order(
    server: Server, cluster: Cluster
) -> None:
    came = takes_a_line(server, "v5.channel.k8s.io")
    asked: list[int] = []

    def may_act() -> None:
        asked.append(len(server.requests))
        if len(asked) > 1:  # the lease was lost after the first look
            raise NotNow("another run has it")

    with cluster.acting_while(may_act), pytest.raises(NotNow):
        cluster.exec("p", "c", ["/agent", "order"], stdin=b"{}\n")
    assert asked == [0, 1]
    assert came == []


class NotNow(SelfhostError):
    """This run may not act."""
