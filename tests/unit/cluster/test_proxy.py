from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes.bad_server import Certificates, Server, make_certificate, openssl
from test_exec import CLOSE, SUCCESS, answers, frame, status_frame
from test_kubeconfig import PROXIES, Bench

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import BadConfig, Unreachable, Untrusted
from kubectl_selfhost.cluster.kinds import NODES
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect


class Proxy:
    """An HTTP proxy that knows CONNECT; ``to`` is where it leads, whatever the client asks for.

    With ``context`` it speaks TLS. ``first`` are the first bytes of each connection, as on the wire.
    """

    def __init__(self, to: int, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.first: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.first.append(self.request.recv(400, socket.MSG_PEEK))
                with suppress(ssl.SSLError):
                    self.speak(
                        context.wrap_socket(self.request, server_side=True)
                        if context
                        else self.request
                    )

            def speak(self, client: socket.socket) -> None:
                outer.asked.append("")
                while "\r\n\r\n" not in outer.asked[-1] and (part := client.recv(1)):
                    outer.asked[-1] += part.decode()
                client.sendall(outer.answer)
                if b"200" in outer.answer:
                    with socket.create_connection(("127.0.0.1", to)) as server:
                        _join(client, server)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._listener.shutdown()
        self._listener.server_close()


def _join(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", *PROXIES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bench(server: Server, certificates: Certificates, tmp_path: Path) -> Bench:
    made = Bench(server, certificates, tmp_path)
    # A name that only the proxy knows.
    made.cluster["server"] = "https://api.test:6443"
    return made


def through(bench: Bench, **cluster: Any) -> Cluster:
    return connect(ConnectionOptions(kubeconfig=bench.path({"token": "t"}, **cluster)))


def test_proxy_url_is_obeyed(bench: Bench, proxy: Proxy) -> None:
    through(bench, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"}).get(NODES, "n")
    assert proxy.asked[0].startswith("CONNECT api.test:6443 HTTP/1.")


def test_the_environment_is_obeyed(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    through(bench).get(NODES, "n")
    assert len(proxy.asked) == 1


def test_no_proxy_is_obeyed(bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "example.com,.test")
    with pytest.raises(Unreachable):
        through(bench).get(NODES, "n")
    assert proxy.asked == []


def test_proxy_url_overrules_no_proxy(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    through(bench, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"}).get(NODES, "n")
    assert len(proxy.asked) == 1


def test_this_machine_is_reached_without_the_environments_proxy(
    server: Server, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    through(Bench(server, certificates, tmp_path)).get(NODES, "n")


def test_the_proxys_password_is_for_the_proxy_only(
    bench: Bench, proxy: Proxy, server: Server
) -> None:
    url = f"http://jane:pass@127.0.0.1:{proxy.port}"
    through(bench, **{"proxy-url": url}).get(NODES, "n")
    assert "basic amfuztpwyxnz" in proxy.asked[0].lower()
    assert server.requests[0].header("Proxy-Authorization") == ""


def test_a_proxy_that_refuses_is_named_without_its_password(bench: Bench, proxy: Proxy) -> None:
    proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    url = f"http://jane:s3cret@127.0.0.1:{proxy.port}"
    with pytest.raises(Unreachable) as caught:
        through(bench, **{"proxy-url": url}).get(NODES, "n")
    assert caught.value.reason == "proxy"
    assert "407" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_proxy_that_is_away_is_named(bench: Bench, proxy: Proxy) -> None:
    proxy.stop()
    with pytest.raises(Unreachable, match="through the proxy http://127") as caught:
        through(bench, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"}).get(NODES, "n")
    assert "proxy-url" in caught.value.hint


def test_a_proxy_of_another_kind_is_refused(bench: Bench) -> None:
    with pytest.raises(BadConfig, match="socks5://"):
        through(bench, **{"proxy-url": "socks5://127.0.0.1:1"})


def test_commands_go_through_the_proxy_too(bench: Bench, proxy: Proxy, server: Server) -> None:
    answers(server, status_frame(SUCCESS), CLOSE)
    url = f"http://jane:pass@127.0.0.1:{proxy.port}"
    cluster = through(bench, **{"proxy-url": url})
    assert cluster.exec("p", "c", ["x"]).exit_code == 0
    assert proxy.asked[0].startswith("CONNECT api.test:6443")


# ---- an https:// proxy ----


def tls_of(certificates: Certificates, name: str = "server") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path(name), certificates.path(f"{name}-key"))
    return context


@pytest.fixture
def tls_proxy(server: Server, certificates: Certificates) -> Iterator[Proxy]:
    made = Proxy(server.port, tls_of(certificates))
    yield made
    made.stop()


def is_tls(first: bytes) -> bool:
    """Return whether these are the first bytes of a ClientHello (RFC 8446, section 5.1)."""
    return first[:2] == b"\x16\x03"


def test_an_https_proxy_is_spoken_tls_to(bench: Bench, tls_proxy: Proxy, server: Server) -> None:
    url = f"https://jane:s3cret@127.0.0.1:{tls_proxy.port}"
    cluster = through(bench, **{"proxy-url": url})
    cluster.get(NODES, "n")
    answers(server, frame(b"\x01out"), status_frame(SUCCESS), CLOSE)
    assert cluster.exec("p", "c", ["x"], stdin=b"x" * 100_000).stdout == "out"
    assert len(tls_proxy.first) == 2
    for first, asked in zip(tls_proxy.first, tls_proxy.asked, strict=True):
        assert is_tls(first)
        assert asked.startswith("CONNECT api.test:6443 HTTP/1.")
        assert "authorization: basic amfuztpzm2nyzxq=" in asked.lower()
    assert all("Proxy-Authorization" not in r.headers for r in server.requests)


def test_an_https_proxy_of_the_environment_is_spoken_tls_to(
    bench: Bench, tls_proxy: Proxy, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{tls_proxy.port}")
    cluster = through(bench)
    cluster.get(NODES, "n")
    answers(server, status_frame(SUCCESS), CLOSE)
    cluster.exec("p", "c", ["x"])
    assert [is_tls(first) for first in tls_proxy.first] == [True, True]


def test_no_proxy_is_obeyed_by_commands(
    bench: Bench, tls_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{tls_proxy.port}")
    monkeypatch.setenv("NO_PROXY", ".test")
    with pytest.raises(Unreachable):
        through(bench).exec("p", "c", ["x"])
    assert tls_proxy.first == []


def both(cluster: Cluster) -> list[Any]:
    """Return the results of a request and of a command."""
    return [lambda: cluster.get(NODES, "n"), lambda: cluster.exec("p", "c", ["x"])]


@pytest.fixture
def stranger(tmp_path: Path) -> Certificates:
    """Return a certificate for 127.0.0.1 of an authority that nobody knows."""
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stranger"),
        *("-keyout", "ca-key.pem", "-out", "ca.pem"),
        cwd=tmp_path,
    )
    make_certificate(tmp_path, "server", names="IP:127.0.0.1")
    return Certificates(tmp_path)


def test_a_proxy_that_nobody_vouches_for_gets_no_password(
    bench: Bench, server: Server, stranger: Certificates
) -> None:
    proxy = Proxy(server.port, tls_of(stranger))
    url = f"https://jane:s3cret@127.0.0.1:{proxy.port}"
    for ask in both(through(bench, **{"proxy-url": url})):
        with pytest.raises(Untrusted, match=r"The proxy https://127\S+ can't be trusted"):
            ask()
    proxy.stop()
    assert proxy.asked == []
    assert not any(b"amFuZTpzM2NyZXQ" in first for first in proxy.first)


def test_an_authority_of_this_machine_is_trusted_for_the_proxy(
    bench: Bench, server: Server, stranger: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.ca))
    proxy = Proxy(server.port, tls_of(stranger))
    cluster = through(bench, **{"proxy-url": f"https://127.0.0.1:{proxy.port}"})
    cluster.get(NODES, "n")
    answers(server, status_frame(SUCCESS), CLOSE)
    cluster.exec("p", "c", ["x"])
    proxy.stop()
    assert len(proxy.asked) == 2


def test_a_proxys_name_must_be_the_certificates(
    bench: Bench, server: Server, certificates: Certificates
) -> None:
    proxy = Proxy(server.port, tls_of(certificates))
    for ask in both(through(bench, **{"proxy-url": f"https://localhost:{proxy.port}"})):
        with pytest.raises(Untrusted, match="The proxy https://localhost"):
            ask()
    proxy.stop()


def test_a_server_behind_an_https_proxy_is_verified_itself(bench: Bench, tls_proxy: Proxy) -> None:
    bench.cluster["server"] = "https://other.test:6443"
    url = f"https://127.0.0.1:{tls_proxy.port}"
    for ask in both(through(bench, **{"proxy-url": url})):
        with pytest.raises(Untrusted, match=r"The API server https://other\.test:6443"):
            ask()


def test_a_proxy_without_tls_is_not_told_anything(bench: Bench, proxy: Proxy) -> None:
    url = f"https://jane:s3cret@127.0.0.1:{proxy.port}"
    for ask in both(through(bench, **{"proxy-url": url})):
        with pytest.raises(Unreachable) as caught:
            ask()
        assert caught.value.reason == "proxy"
        assert "s3cret" not in caught.value.message
    assert all(is_tls(first) for first in proxy.first)


def test_a_command_is_refused_by_a_proxy_as_a_request_is(bench: Bench, tls_proxy: Proxy) -> None:
    tls_proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    url = f"https://127.0.0.1:{tls_proxy.port}"
    messages = []
    for ask in both(through(bench, **{"proxy-url": url})):
        with pytest.raises(Unreachable, match="407") as caught:
            ask()
        messages.append((caught.value.reason, caught.value.message, caught.value.may_have_run))
    assert messages[0] == messages[1]
    assert messages[0][0] == "proxy"


def test_a_plain_server_behind_an_https_proxy_is_refused(bench: Bench, tls_proxy: Proxy) -> None:
    bench.cluster["server"] = "http://api.test:8080"
    with pytest.raises(BadConfig, match="not https:// itself"):
        through(bench, **{"proxy-url": f"https://127.0.0.1:{tls_proxy.port}"})
    assert tls_proxy.first == []
