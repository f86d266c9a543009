"""The certificate that the API server shows to everybody who connects."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from kubectl_selfhost.cluster.client import Cluster
from kubectl_selfhost.cluster.connection.failures import as_unreachable


def served_certificate(cluster: Cluster) -> bytes | None:
    """Return the certificate in DER; None if it can't be seen: plain http, or a proxy in between.

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
