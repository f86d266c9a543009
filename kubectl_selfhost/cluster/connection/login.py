"""The user's credentials and trusted authorities: the kubernetes package's Configuration, and its
renewal.

The package turns a kubeconfig's user into headers and files. This module adds to the package: it
reports the failure of an exec plugin (the package logs the failure and goes on without
credentials), it renews credentials when they expire or are refused, and it deletes the files that
the package wrote for keys once they have been read.
"""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kubectl_selfhost.cluster.errors import BadConfig
from kubectl_selfhost.harmless import harmless

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration

#: Credentials are renewed this many seconds before they expire.
_EARLY = 10.0


class Login:
    """Credentials and trust for one API server. Safe to use from several threads.

    ``renew`` replaces ``configuration``, ``context`` (None for plain http), ``proxy_context`` (None
    without an https:// proxy) and ``certificate`` (the user's own, PEM; empty without one) as a
    whole.
    """

    configuration: Configuration
    context: ssl.SSLContext | None
    proxy_context: ssl.SSLContext | None
    certificate: bytes

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.generation = 0
        self._expires: float | None = None
        self._load()

    def _fill(self, configuration: Configuration, directory: str) -> None:
        """Fill in the configuration; the files that this needs go to ``directory``."""
        raise NotImplementedError

    def _load(self) -> None:
        from kubernetes.client.configuration import Configuration

        configuration = Configuration()
        configuration.proxy = configuration.no_proxy = None  # see _proxy_for
        directory = tempfile.mkdtemp(prefix="kubectl-selfhost-")  # mode 0700
        try:
            self._fill(configuration, directory)
            secure = configuration.host.startswith("https://")
            self.context = tls_context(configuration) if secure else None
            self.proxy_context = proxy_context(configuration)
            self.certificate = _content(configuration.cert_file) if secure else b""
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        self.configuration = configuration
        self.generation += 1

    def authorization(self) -> str:
        """Return the current value of the Authorization header, empty if there is none."""
        if self._expires is not None and time.time() >= self._expires - _EARLY:
            self.renew(self.generation)
        with self._lock:
            return (self.configuration.get_api_key_with_prefix("authorization") or "").strip()

    def renew(self, generation: int) -> bool:
        """Replace the credentials of ``generation`` by new ones; return False if they are the same."""
        with self._lock:
            if self.generation == generation:
                before = self._identity()
                self._load()
                return self._identity() != before
        return True

    def _identity(self) -> object:
        return self.configuration.api_key.get("authorization")


def _content(path: str | None) -> bytes:
    """Return the content of a certificate's file, which has been read before, so it can be read."""
    return Path(path).read_bytes() if path else b""


@dataclass(frozen=True)
class Chosen:
    """A cluster and a user of a kubeconfig: the package's ConfigNodes, which know their file."""

    context: str
    cluster: Any
    user: Any


class FromKubeconfig(Login):
    """The login that a kubeconfig has for a cluster and a user."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self._plugin_runs = 0
        super().__init__()

    def _fill(self, configuration: Configuration, directory: str) -> None:
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader

        chosen = self._chosen
        names = {"cluster": chosen.cluster["name"], "user": chosen.user["name"] or "nobody"}
        user = self._user_with_credentials(names["user"])
        config = {
            "current-context": "chosen",
            "contexts": [{"name": "chosen", "context": names}],
            "clusters": [chosen.cluster],
            "users": [ConfigNode("user", {"name": names["user"], "user": user}, chosen.user.path)],
        }
        try:
            KubeConfigLoader(
                ConfigNode("kubeconfig", config),
                config_base_path=None,
                temp_file_path=directory,
            ).load_and_set(configuration)
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise BadConfig(f"A file that the kubeconfig names can't be read: {what}.") from error
        except ConfigException as error:
            raise BadConfig(f"The kubeconfig can't be used: {harmless(str(error))}.") from error
        except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            # Not the error's own text: it may quote a token.
            raise BadConfig(
                f"The kubeconfig's user {names['user']} or its cluster {names['cluster']} can't be "
                f"used ({type(error).__name__}).",
                "Does kubectl itself work with it?",
            ) from None
        data = chosen.cluster.value["cluster"]
        configuration.proxy, configuration.proxy_headers = _proxy_for(
            configuration.host, data.get("proxy-url")
        )

    def _user_with_credentials(self, name: str) -> dict[str, Any]:
        """Return the user's entry, with the exec plugin's credentials in place of the plugin."""
        user = dict(self._chosen.user.value["user"])
        if not user.get("exec") or user.get("token") or user.get("tokenFile"):
            return user
        status = run_plugin(self._chosen, name)
        self._plugin_runs += 1
        self._expires = _timestamp(status.get("expirationTimestamp"))
        del user["exec"]
        if status.get("token"):
            user["token"] = str(status["token"])
        for key, given in (("certificate", "clientCertificateData"), ("key", "clientKeyData")):
            if status.get(given):
                pem = str(status[given]).encode()
                user[f"client-{key}-data"] = base64.b64encode(pem).decode()
        return user

    def _identity(self) -> object:
        # Try again with whatever a plugin gives: its certificate may be new.
        return super()._identity(), self._plugin_runs


def run_plugin(chosen: Chosen, name: str) -> dict[str, Any]:
    """Return what the user's exec credential plugin hands out. Raise BadConfig if it fails."""
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.exec_provider import ExecProvider

    description = chosen.user["user"]["exec"]
    data = description.value
    hint = harmless(str(data.get("installHint") or "").strip())
    who = f"The credential plugin {data.get('command')} of the user {name}"
    directory = os.path.dirname(os.path.abspath(chosen.user.path)) if chosen.user.path else ""
    try:
        status = ExecProvider(description, directory, chosen.cluster["cluster"]).run()
    except FileNotFoundError as error:
        raise BadConfig(harmless(f"{who} is not installed, or not in the PATH."), hint) from error
    except OSError as error:
        raise BadConfig(harmless(f"{who} can't be run: {error.strerror}."), hint) from error
    except ConfigException as error:
        why = str(error).removeprefix("exec: ")
        raise BadConfig(harmless(f"{who} gave no credentials: {why}."), hint) from None
    given = isinstance(status, dict) and (
        status.get("token") or (status.get("clientCertificateData") and status.get("clientKeyData"))
    )
    if not given:
        raise BadConfig(harmless(f"{who} gave neither a token nor a client certificate."), hint)
    return dict(status)


def _timestamp(text: Any) -> float | None:
    if not text:
        return None
    from kubernetes.config.dateutil import parse_rfc3339

    try:
        return float(parse_rfc3339(str(text)).timestamp())
    except (ValueError, AttributeError):
        return None


class InCluster(Login):
    """The service account of the pod in which this process runs."""

    @staticmethod
    def possible() -> bool:
        """Return whether this process runs in a pod that was given a token."""
        from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

        return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and os.path.exists(
            SERVICE_TOKEN_FILENAME
        )

    def _fill(self, configuration: Configuration, directory: str) -> None:  # noqa: ARG002
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.incluster_config import load_incluster_config

        try:
            load_incluster_config(configuration)
        except (ConfigException, OSError) as error:
            raise BadConfig(f"This pod's service account can't be used: {error}.") from error


class SharedContext(ssl.SSLContext):
    """A TLS context that nobody writes to any more while threads make connections from it.

    urllib3 sets the ALPN protocols anew for each connection. OpenSSL frees the old list for this,
    while another thread, in SSL_new and without Python's lock, may be copying it: then a
    ClientHello goes out with garbage in it, and the server ends the connection with the alert
    decode_error.
    """

    _alpn: list[str] | None = None

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Set the protocols, unless they are set already."""
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
    # As Go, and so every other client of this API server, has it: an intermediate may be the
    # authority, and certificates without key identifiers are good. (Python 3.13's default context
    # has the former, too, and refuses the latter: CPython issue 107361.)
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
    hold for the proxy as well. The authorities of this machine are added: a company's proxy has a
    certificate from them.
    """
    if not str(configuration.proxy or "").startswith("https://"):
        return None
    context = tls_context(configuration)
    context.load_default_certs()
    return context


def _proxy_for(server: str, given: str | None) -> tuple[str | None, dict[str, str] | None]:
    """Return the proxy for ``server`` and the headers for it: ``given`` (proxy-url), or the
    environment's.

    As in Go, a proxy from the environment never serves this machine itself.
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
            "An http:// or https:// proxy can; or forward a port and use it as the server's.",
        )
    if parts.scheme == "https" and not server.startswith("https://"):
        raise BadConfig(
            f"The https:// proxy {parts.hostname} can't be used for the API server {server}, which "
            "is not at https:// itself.",
            "Use the server's https:// address, or an http:// proxy.",
        )
    headers = None
    if parts.username:
        headers = dict(make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}"))
    port = f":{parts.port}" if parts.port else ""
    name = parts.hostname or ""
    return f"{parts.scheme}://{f'[{name}]' if ':' in name else name}{port}", headers
