"""reach against servers that say hello, and against all that can come instead."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SOURCES, compile_c

Handle = Callable[[socket.socket], None]

#: The part of the requests that a slow machine sends at least: one that is late is not made up for.
LEAST = 0.8


class Listener:
    """A listener that gives each connection to ``handle``, in a thread of its own, with its number
    if ``numbered``.
    """

    def __init__(
        self, handle: Callable[..., None], address: str = "127.0.0.1", *, numbered: bool = False
    ) -> None:
        self._handle = handle
        self._numbered = numbered
        self._sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._sock.bind((address, 0))
        except OSError as error:
            pytest.skip(f"{address} can't be bound here: {error}")
        self._sock.listen(128)
        self.address, self.port = self._sock.getsockname()[:2]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for number in itertools.count():
                sock = self._sock.accept()[0]
                words = (sock, number) if self._numbered else (sock,)
                threading.Thread(target=self._handle, args=words, daemon=True).start()
        except OSError:
            return

    def close(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program that only measures, which is no part of the agent."""
    output = tmp_path_factory.mktemp("reach") / "reach"
    compile_c(output, *SOURCES.with_name("reach").glob("*.c"))
    return output


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    curve = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=x",
    )
    words = ["openssl", "req", "-x509", *curve, "-keyout", str(file), "-out", str(file) + ".crt"]
    subprocess.run(words, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    made: list[Listener] = []

    def start(handle: Handle, address: str = "127.0.0.1", **how: bool) -> Listener:
        made.append(Listener(handle, address, **how))
        return made[-1]

    yield start
    for one in made:
        one.close()


def says_hello(certificate: Path, version: ssl.TLSVersion) -> Handle:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.minimum_version = context.maximum_version = version

    def handle(sock: socket.socket) -> None:
        try:
            context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()  # the client leaves after the ServerHello

    return handle


def start(program: Path, address: str, port: int, *, rate: int, duration: int):
    words = ["--address", address, "--port", port, "--rate", rate, "--duration", duration]
    return subprocess.Popen(
        [program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
    )


def result(process: subprocess.Popen) -> dict:
    """Return what it said; whatever a sanitizer says fails the test."""
    out, err = process.communicate(timeout=30)
    assert (err, process.returncode, out.count("\n")) == ("", 0, 1)
    return json.loads(out)


def ask(program: Path, listener: Listener, *, rate: int = 20, duration: int = 1) -> dict:
    return result(start(program, listener.address, listener.port, rate=rate, duration=duration))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_server_that_says_hello_is_reached(program, listen, certificate, version, address):
    seen = ask(program, listen(says_hello(certificate, version), address))
    assert (seen["failures"], seen["runs"]) == ({}, [])
    assert LEAST * 20 <= seen["requests"] <= 20
    # A busy machine is slow; a call that takes 3 s is a failure.
    assert 0 < seen["latency_us"]["p50"] <= seen["latency_us"]["max"] < 3_000_000
    assert 0 < seen["longest_gap_ms"] < 3_000


def reset(sock: socket.socket) -> None:
    sock.recv(5)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def close(sock: socket.socket) -> None:
    while len(sock.recv(4096)) == 4096:
        pass
    sock.close()


def send(*parts: bytes) -> Handle:
    def handle(sock: socket.socket) -> None:
        for part in parts:
            sock.sendall(part)
            time.sleep(0.05)
        sock.recv(4096)
        sock.close()

    return handle


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        (reset, "reset"),
        (close, "closed"),
        (send(b"\x16\x03\x03"), "closed"),
        (send(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "bad-answer"),
        (send(b"\x15\x03\x03\x00\x02\x02\x28"), "bad-answer"),  # an alert: handshake_failure
        (send(b"\x16\x03\x03\x00\x7a\x01"), "bad-answer"),  # our own hello
        (lambda _: time.sleep(10), "timeout"),
    ],
)
def test_failures_are_counted_by_kind(program, listen, handle, kind):
    seen = ask(program, listen(handle), rate=5)
    assert LEAST * 5 <= seen["requests"] <= 5
    assert seen["failures"] == {kind: seen["requests"]}
    assert seen["latency_us"] is None
    assert [run[2:] for run in seen["runs"]] == [[kind, seen["requests"]]]
    assert 900 <= seen["longest_gap_ms"] <= 3_000


def test_a_hello_in_pieces_is_a_hello(program, listen):
    assert ask(program, listen(send(b"\x16", b"\x03\x03\x00", b"\x7a\x02\x00")))["failures"] == {}


def test_nobody_listening_is_refused(program, listen):
    listener = listen(close)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        listener.port = sock.getsockname()[1]
        seen = ask(program, listener)
        assert LEAST * 20 <= seen["requests"] <= 20
        assert seen["failures"] == {"refused": seen["requests"]}


def test_more_than_can_wait_are_not_sent(program, listen):
    seen = ask(program, listen(lambda _: time.sleep(10)), rate=500, duration=2)
    assert 256 < seen["requests"] <= 1000  # a busy machine falls behind
    assert seen["failures"]["not-sent"] == seen["requests"] - 256
    assert seen["failures"]["timeout"] == 256


def test_each_outage_is_a_run_and_the_longest_is_the_gap(program, listen, certificate):
    good = says_hello(certificate, ssl.TLSVersion.TLSv1_3)

    def handle(sock: socket.socket, number: int) -> None:
        (close if 20 <= number < 35 or 50 <= number < 95 else good)(sock)

    seen = ask(program, listen(handle, numbered=True), rate=50, duration=3)
    assert seen["failures"]["closed"] == 60
    # A busy machine is slow besides, and a good answer may come late, into the next outage.
    first, second = (run for run in seen["runs"] if run[2] == "closed" and run[3] > 5)
    assert (first[3], second[3]) == pytest.approx((15, 45), abs=5)
    for began, latest, _, times in (first, second):
        assert latest - began >= (times - 1) * 20  # milliseconds: never quicker than the rate
    assert first[1] - first[0] < seen["longest_gap_ms"]


def test_sigterm_ends_it_early_and_it_stays_for_its_log_to_be_read(program, listen, certificate):
    listener = listen(says_hello(certificate, ssl.TLSVersion.TLSv1_3))
    began = time.monotonic()
    process = start(program, "127.0.0.1", listener.port, rate=20, duration=600)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    seen = json.loads(process.stdout.readline())
    assert 0 < seen["requests"] <= 1 + 20 * (time.monotonic() - began)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"address": "kubernetes.default"}, "--address"),
        ({"port": 0}, "--port"),
        ({"port": 65536}, "--port"),
        ({"port": "443x"}, "--port"),
        ({"port": "9" * 30}, "--port"),
        ({"rate": 1001}, "--rate"),
        ({"rate": -1}, "--rate"),
        ({"duration": ""}, "--duration"),
        ({"duration": 604801}, "--duration"),
    ],
)
def test_what_makes_no_sense_is_refused(program, changed, said):
    fields = {"address": "127.0.0.1", "port": 443, "rate": 1, "duration": 1, **changed}
    process = start(program, **fields)
    out, _ = process.communicate(timeout=10)
    answer = json.loads(out)
    assert (process.returncode, answer["code"]) == (1, "usage")
    assert answer["error"].startswith(f"{said} ")


@pytest.mark.parametrize(
    "words", [(), ("--port", "1"), ("--address",), ("--address", "::1", "--what", "1")]
)
def test_a_word_too_few_or_too_many_is_refused(program, words):
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=10)
    assert (done.returncode, json.loads(done.stdout)["code"], done.stderr) == (1, "usage", "")
