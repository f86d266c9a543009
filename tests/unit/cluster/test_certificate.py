"""The certificate that a server shows is read from its answer to the first message."""

from __future__ import annotations

import socket

import pytest
from fakes import certificates as made
from fakes.bad_server import Certificates, Server

from kubectl_selfhost.cluster.certificate import hello, shown_in
from kubectl_selfhost.controlplane.values import x509


def test_a_real_server_shows_its_certificate(server: Server, certificates: Certificates):
    with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
        plain.sendall(hello())
        answer = b""
        plain.settimeout(0.5)
        try:
            while part := plain.recv(65536):
                answer += part
        except TimeoutError:
            pass
    der = shown_in(answer)
    assert der is not None
    assert x509.parse(der) is not None
    assert der in [x509.first_in_pem(f.read_bytes()) for f in certificates.directory.glob("*.pem")]


def test_it_may_come_in_several_records():
    assert shown_in(made.shown(b"the certificate")) == b"the certificate"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.0 400 Bad Request", b"\x15\x03\x03\0\x02\x02\x46", b"\x16\x03\x03\0"]
)
def test_a_server_that_shows_none(answer: bytes):
    assert shown_in(answer) is None


def test_an_answer_that_is_cut_off_at_any_byte_is_no_error():
    whole = made.shown(b"the certificate")
    assert {shown_in(whole[:end]) for end in range(len(whole) - 20)} == {None}
