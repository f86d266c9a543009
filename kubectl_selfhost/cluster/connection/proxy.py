"""The proxy between this machine and an API server."""

from __future__ import annotations

from urllib.parse import urlsplit

from kubectl_selfhost.cluster.errors import BadConfig


def proxy_for(server: str, given: str | None) -> tuple[str | None, dict[str, str] | None]:
    """Return the proxy for ``server`` and its headers: ``given`` (proxy-url), or the environment's
    proxy.

    As in Go, a proxy from the environment is never used for this machine itself.
    """
    from requests.utils import get_environ_proxies, select_proxy
    from urllib3.util import make_headers

    url: str | None = given
    if not url:
        host = urlsplit(server).hostname or ""
        if host in ("localhost", "::1") or host.startswith("127."):
            return None, None
        url = select_proxy(server, get_environ_proxies(server))
    if not url:
        return None, None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https"):
        raise BadConfig(
            f"A proxy of the kind {parts.scheme}:// can't be used.",
            "Use an http:// or https:// proxy, or forward a port and use that port as the server.",
        )
    if parts.scheme == "https" and not server.startswith("https://"):
        raise BadConfig(
            f"The https:// proxy {parts.hostname} can't be used for the API server {server}: its "
            "address is not https:// itself.",
            "Use the server's https:// address, or an http:// proxy.",
        )
    headers = None
    if parts.username:
        headers = dict(make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}"))
    port = f":{parts.port}" if parts.port else ""
    name = parts.hostname or ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}", headers
