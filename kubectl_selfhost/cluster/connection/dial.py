"""A bare connection to the API server: through the proxy, and with TLS if needed.

This module uses urllib3's connections, as requests do. So it verifies the proxy and the server in the
same way, and reports the same errors.
"""

from __future__ import annotations

from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kubectl_selfhost.cluster.connection.login import Login

if TYPE_CHECKING:
    import socket

    from urllib3.connection import HTTPConnection


def dial(server: str, login: Login, *, timeout: float) -> socket.socket:
    """Return a socket that is connected to ``server``; each step may take ``timeout`` seconds.

    Raise the exceptions of urllib3, OpenSSL and the sockets: ``failures.as_unreachable`` turns them
    into words.
    """
    from urllib3.exceptions import HTTPError, ProxyError

    connection = _connection(server, login, timeout)
    try:
        connection.connect()
    except (OSError, HTTPError, HTTPException) as error:
        through = connection.has_connected_to_proxy  # which close() forgets
        connection.close()
        if login.configuration.proxy and not through:
            raise ProxyError("the proxy can't be reached", error) from error
        raise
    except BaseException:
        connection.close()
        raise
    sock: socket.socket = connection.sock
    return sock


def _connection(server: str, login: Login, timeout: float) -> HTTPConnection:
    from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
    from urllib3.util import parse_url

    configuration = login.configuration
    target = urlsplit(server)
    port = target.port or (80 if login.context is None else 443)
    hop = parse_url(configuration.proxy or server)
    options: dict[str, Any] = {"timeout": timeout}
    if configuration.proxy:
        options["proxy"] = hop
        options["proxy_config"] = ProxyConfig(login.proxy_context, False, None, None)
    connection: HTTPConnection
    name = (hop.host or "").strip("[]")
    if login.context is None:
        connection = HTTPConnection(name, hop.port, **options)
    else:
        connection = HTTPSConnection(
            name,
            hop.port or (443 if hop.scheme == "https" else 80),
            ssl_context=login.context,
            server_hostname=configuration.tls_server_name or None,
            **options,
        )
    if configuration.proxy:
        headers = configuration.proxy_headers or {}
        connection.set_tunnel(target.hostname or "", port, headers, scheme=hop.scheme or "http")
    return connection
