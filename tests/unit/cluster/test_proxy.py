from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_server import Certificates, Server
from test_exec import CLOSE, SUCCESS, answers, status_frame
from test_kubeconfig import PROXIES, Bench

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.errors import BadConfig, Unreachable
from kubectl_selfhost.cluster.kinds import NODES
from kubectl_selfhost.cluster.kubeconfig import ConnectionOptions, connect


class Proxy:
    """An HTTP proxy that knows CONNECT; ``to`` is where it leads, whatever it was asked for."""

    def __init__(self, to: int) -> None:
        self.asked: list[str] = []
        self.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.asked.append("")
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    outer.asked[-1] += line.decode()
                self.wfile.write(outer.answer)
                if b"200" in outer.answer:
                    with socket.create_connection(("127.0.0.1", to)) as server:
                        _join(self.connection, server)

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
