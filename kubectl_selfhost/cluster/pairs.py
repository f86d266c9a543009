"""Whether a certificate and its key are good for what they are used for, by a TLS handshake in memory.

Python's ssl has all of it: whether they are a pair, the chain, the purpose, names and dates. A key is
never written to this machine's disk: ssl reads it from memory, by the path of an open descriptor.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from kubectl_selfhost.errors import SelfhostError

#: Bytes of a pipe that nobody reads yet, on every system (macOS: 16 KiB).
_PIPE = 16 * 1024


def wrong_with_server(
    certificate: bytes, key: bytes, *, authority: bytes, names: Sequence[str]
) -> str:
    """Return why a server can't show this certificate as one of these ``names``; empty if it can."""
    for name in names:
        try:
            server = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key)
            client = _context(ssl.PROTOCOL_TLS_CLIENT)
            _trust(client, authority)
            _shake_hands(client, server, name)
        except (OSError, ValueError) as error:
            return _why(error)
    return ""


def wrong_with_client(certificate: bytes, key: bytes, *, authority: bytes) -> str:
    """Return why a client can't log in with this certificate; empty if it can."""
    try:
        # A server shows some certificate: this one will do, for the client does not look at it.
        server = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key)
        client = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        server.verify_mode = ssl.CERT_REQUIRED
        _trust(server, authority)
        _shake_hands(client, server, "")
    except (OSError, ValueError) as error:
        return _why(error)
    return ""


def wrong_with_pair(certificate: bytes, key: bytes) -> str:
    """Return why the key isn't the certificate's; empty if it is."""
    try:
        _context(ssl.PROTOCOL_TLS_SERVER, certificate, key)
    except (OSError, ValueError) as error:
        return _why(error)
    return ""


def _context(protocol: int, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    if certificate:
        with ExitStack() as stack:
            of_certificate, of_key = (
                stack.enter_context(_in_memory(one)) for one in (certificate, key)
            )
            # Without a password an encrypted key would make OpenSSL ask at the terminal.
            context.load_cert_chain(of_certificate, of_key, password=lambda: "")
    return context


def _trust(context: ssl.SSLContext, authority: bytes) -> None:
    context.load_verify_locations(cadata=authority.decode("ascii"))
    # As Go does: each certificate of the file is trusted, also one that another has signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name or None),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    left = list(ends)
    while left:
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                pass


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Yield a path at which ``content`` can be read once, and which is on no disk."""
    if hasattr(os, "memfd_create"):
        reader = os.memfd_create("selfhost")
        os.write(reader, content)
        writer = -1
    else:
        if len(content) > _PIPE:
            raise SelfhostError("A certificate or key is too large to be verified on this system.")
        reader, writer = os.pipe()
        os.write(writer, content)
        os.close(writer)
    try:
        yield f"/dev/fd/{reader}"
    except FileNotFoundError as error:
        raise SelfhostError(
            "This system can't read an open file by its path in /dev/fd, and keys are not written to "
            "the disk. So the credentials can't be verified.",
            "Run the command on Linux or macOS.",
        ) from error
    finally:
        os.close(reader)


def _why(error: Exception) -> str:
    """Return what OpenSSL says, without its place in the source."""
    if isinstance(error, OSError) and error.errno == errno.ESPIPE:
        return "key values mismatch"  # OpenSSL looks into a pipe again to say this
    told = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    return str(told).lower().replace("_", " ")
