"""The TLS settings of the connections to an API server, and to an https:// proxy before it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kubectl_selfhost.cluster.errors import BadConfig

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration


class SharedContext(ssl.SSLContext):
    """A TLS context that nothing changes while threads make connections from it.

    urllib3 sets the ALPN protocols again for each connection. For this OpenSSL frees the old list.
    Another thread may be copying the list at that moment, in SSL_new and without Python's lock. Then
    this thread sends a ClientHello with garbage, and the server ends the connection with the alert
    decode_error.
    """

    _alpn: list[str] | None = None

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Set the protocols, unless the context has them already."""
        protocols = list(alpn_protocols)
        if protocols != self._alpn:
            super().set_alpn_protocols(protocols)
            self._alpn = protocols


def tls_context(configuration: Configuration) -> ssl.SSLContext:
    """Return the TLS settings of all connections. Raise BadConfig for files that can't be used."""
    import certifi
    from urllib3.util.ssl_ import ALPN_PROTOCOLS

    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    try:
        context.load_verify_locations(configuration.ssl_ca_cert or certifi.where())
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "no PEM"
        raise BadConfig(
            "The kubeconfig's certificate authority, client certificate or client key can't be "
            f"used ({why})."
        ) from error
    # The rules are those of Go, and so of every other client of this API server: an intermediate may
    # be the authority, and a certificate needs no key identifiers. (Python 3.13's default context has
    # the first rule, but not the second: CPython issue 107361.)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def proxy_context(configuration: Configuration) -> ssl.SSLContext | None:
    """Return the TLS settings for an https:// proxy, or None for any other proxy.

    Go, and so kubectl, has one TLS configuration for the proxy and for the server behind it (net/http,
    Transport.dialConn): the kubeconfig's authority, client certificate and insecure-skip-tls-verify
    also apply to the proxy. This function adds the authorities of this machine: they sign the
    certificate of a company's proxy.
    """
    if not str(configuration.proxy or "").startswith("https://"):
        return None
    context = tls_context(configuration)
    context.load_default_certs()
    return context
