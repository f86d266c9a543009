"""The certificate that a server sends to every client."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.failures import as_unreachable

_RECORD_HEAD, _MESSAGE_HEAD, _LENGTH = 5, 4, 3
_HANDSHAKE, _CERTIFICATE = 22, 11


def served_certificate(cluster: Cluster) -> bytes | None:
    """Return the API server's certificate in DER; None if there is none to see (plain http, or a
    proxy).

    Raise Unreachable or Untrusted as any request would.
    """

    login = cluster.transport.login
    if login.context is None or login.configuration.proxy:
        return None
    parts = urlsplit(cluster.server)
    host = parts.hostname or ""
    name = getattr(login.configuration, "tls_server_name", None) or host
    try:
        with (
            socket.create_connection((host, parts.port or 443), cluster.timeout) as plain,
            login.context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            return secure.getpeercert(binary_form=True)
    except OSError as error:
        raise as_unreachable(error, server=cluster.server, proxy=None) from error


def hello() -> bytes:
    """Return the first message of a TLS client that knows TLS 1.2 at most, where the server shows
    its certificate unencrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    sent = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake needs an answer")


def shown_in(answer: bytes) -> bytes | None:
    """Return the server's certificate (DER) in its answer to ``hello``; None if there is none, as
    from a server that wants TLS 1.3.
    """
    messages = b""
    while len(answer) >= _RECORD_HEAD and answer[0] == _HANDSHAKE:
        end = _RECORD_HEAD + int.from_bytes(answer[3:_RECORD_HEAD], "big")
        messages, answer = messages + answer[_RECORD_HEAD:end], answer[end:]
    while len(messages) >= _MESSAGE_HEAD:
        end = _MESSAGE_HEAD + int.from_bytes(messages[1:_MESSAGE_HEAD], "big")
        message, kind, messages = messages[_MESSAGE_HEAD:end], messages[0], messages[end:]
        if kind == _CERTIFICATE:
            first = message[_LENGTH:]
            length = int.from_bytes(first[:_LENGTH], "big")
            return first[_LENGTH : _LENGTH + length] or None
    return None
