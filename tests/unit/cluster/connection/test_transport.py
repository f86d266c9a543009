from __future__ import annotations

import ssl
import threading
import time

import pytest
from fakes.bad_server import Certificates, Reply, Server, TokenLogin, make_certificate

from kubectl_selfhost.cluster.connection.transport import Transport
from kubectl_selfhost.cluster.errors import BadConfig, Unreachable, Untrusted


def test_a_connection_is_used_again(server: Server, transport: Transport) -> None:
    for _ in range(5):
        transport.request("GET", "/version")
    assert server.connections == 1


def test_a_connection_is_used_again_after_a_chunked_answer(
    server: Server, transport: Transport
) -> None:
    server.answer = lambda _: Reply(200, b"x" * 5555, chunked=True)
    assert transport.request("GET", "/").body == b"x" * 5555
    assert transport.request("GET", "/").body == b"x" * 5555
    assert server.connections == 1


def test_a_connection_is_used_again_after_an_empty_answer(
    server: Server, transport: Transport
) -> None:
    server.answer = lambda _: Reply(200, b"")
    transport.request("GET", "/")
    transport.request("GET", "/")
    assert server.connections == 1


def test_a_dead_kept_connection_is_replaced(server: Server, transport: Transport) -> None:
    transport.request("GET", "/")
    server.drop_connections()
    time.sleep(0.05)
    assert transport.request("GET", "/").status == 200


def test_a_kept_connection_that_dies_of_the_request_is_replaced(
    server: Server, transport: Transport
) -> None:
    transport.request("GET", "/")
    server.answers = [Reply(reset=True)]
    answer = transport.request("GET", "/")
    assert (answer.status, answer.resent) == (200, True)


def test_a_second_connection_that_dies_is_an_error(server: Server, transport: Transport) -> None:
    server.answers = [Reply(reset=True), Reply(reset=True)]
    with pytest.raises(Unreachable) as caught:
        transport.request("GET", "/")
    assert caught.value.reason in ("reset", "closed")


def test_a_close_is_obeyed(server: Server, transport: Transport) -> None:
    server.answer = lambda _: Reply(200, {}, close=True)
    transport.request("GET", "/")
    transport.request("GET", "/")
    assert server.connections == 2


def test_threads_have_connections_of_their_own(server: Server, transport: Transport) -> None:
    server.answer = lambda request: Reply(200, {"path": request.path}, after=0.4)
    bodies: dict[int, bytes] = {}

    def ask(number: int) -> None:
        bodies[number] = transport.request("GET", f"/{number}").body

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == {number: b'{"path": "/%d"}' % number for number in range(6)}
    assert time.monotonic() - began < 2.0


def test_the_time_limit_holds_for_a_silent_server(server: Server, transport: Transport) -> None:
    server.answer = lambda _: Reply(200, {}, after=3.0)
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        transport.request("GET", "/", timeout=0.3)
    assert caught.value.reason == "timeout"
    assert time.monotonic() - began < 2.5


def test_the_time_limit_holds_for_a_server_that_drips(server: Server, transport: Transport) -> None:
    def drip(sock: object, request: object) -> bool:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")  # type: ignore[attr-defined]
        for _ in range(100):
            sock.sendall(b"x")  # type: ignore[attr-defined]
            time.sleep(0.05)
        return True

    server.raw = drip
    began = time.monotonic()
    with pytest.raises(Unreachable):
        transport.request("GET", "/", timeout=0.4)
    assert time.monotonic() - began < 3.0


def test_half_an_answer_is_none(server: Server, transport: Transport) -> None:
    server.answer = lambda _: Reply(200, b"abc", {"Content-Length": "10"}, close=True)
    with pytest.raises(Unreachable) as caught:
        transport.request("GET", "/")
    assert caught.value.reason == "closed"


def test_nobody_listening_is_refused(server: Server, transport: Transport) -> None:
    server.stop()
    with pytest.raises(Unreachable) as caught:
        transport.request("GET", "/")
    assert caught.value.reason == "refused"
    assert "connection refused" in caught.value.message


def test_a_name_that_is_not_known_is_said_so() -> None:
    with pytest.raises(Unreachable) as caught:
        Transport(TokenLogin(6443, host="no-such-host.invalid")).request("GET", "/")
    assert caught.value.reason == "dns"


def test_an_unknown_authority_is_not_trusted(server: Server) -> None:
    with pytest.raises(Untrusted, match="unknown authority"):
        Transport(TokenLogin(server.port)).request("GET", "/")


def test_the_wrong_name_is_not_trusted(server: Server, certificates: Certificates) -> None:
    login = TokenLogin(server.port, host="localhost", ca=certificates.ca)
    with pytest.raises(Untrusted, match="for another name"):
        Transport(login).request("GET", "/")


def test_tls_server_name_is_what_the_certificate_is_for(
    server: Server, certificates: Certificates
) -> None:
    login = TokenLogin(server.port, host="localhost", ca=certificates.ca, server_name="api.test")
    assert Transport(login).request("GET", "/").status == 200


def test_insecure_trusts_anybody(server: Server, recwarn: pytest.WarningsRecorder) -> None:
    login = TokenLogin(server.port, host="localhost", insecure=True)
    assert Transport(login).request("GET", "/").status == 200
    assert len(recwarn) == 0


def test_an_expired_certificate_is_said_so(certificates: Certificates) -> None:
    # -1 day: it ended before it began, as far as today is concerned.
    make_certificate(certificates.directory, "old", names="IP:127.0.0.1", days="-1")
    old = Server(certificates, cert="old")
    try:
        with pytest.raises(Untrusted, match="expired"):
            Transport(TokenLogin(old.port, ca=certificates.ca)).request("GET", "/")
    finally:
        old.stop()


def test_the_client_certificate_is_shown(server: Server, certificates: Certificates) -> None:
    login = TokenLogin(
        server.port,
        ca=certificates.ca,
        certificate=certificates.client,
        key=certificates.path("client-key"),
    )
    Transport(login).request("GET", "/")
    assert (("commonName", "client"),) in server.requests[0].peer["subject"]


def test_a_key_that_is_none_is_an_error_in_words(
    server: Server, certificates: Certificates
) -> None:
    with pytest.raises(BadConfig, match="can't be used"):
        TokenLogin(server.port, certificate=certificates.client, key=certificates.ca)


def test_headers_may_occur_twice(server: Server, login: TokenLogin) -> None:
    groups = [("Impersonate-User", "u"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")]
    Transport(login, impersonate=groups).request("GET", "/")
    assert server.requests[0].headers["impersonate-group"] == ["a", "b"]


def test_a_probe_has_a_connection_of_its_own(server: Server, transport: Transport) -> None:
    for _ in range(3):
        transport.once("GET", "/", fresh=True)
    assert server.connections == 3


def test_the_log_has_no_secrets(server: Server, login: TokenLogin) -> None:
    lines: list[str] = []
    Transport(login, log=lines.append).request("POST", "/x?y=1", body=b'{"a": "hidden"}')
    assert len(lines) == 1
    assert lines[0].startswith(f"POST https://127.0.0.1:{server.port}/x?y=1 200 in ")
    assert "s3cret" not in lines[0]
    assert "hidden" not in lines[0]


def test_connections_dont_write_to_the_context_that_they_share(
    server: Server, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of 65,000 ClientHellos of eight threads had garbage for ALPN when each set it anew."""
    written: list[list[str]] = []
    monkeypatch.setattr(
        ssl.SSLContext, "set_alpn_protocols", lambda _, names: written.append(names)
    )
    for _ in range(3):
        transport.once("GET", "/", fresh=True)
    assert (written, server.connections) == ([], 3)
