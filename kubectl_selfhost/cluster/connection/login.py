"""The user's credentials and trusted authorities: the kubernetes package's Configuration, and its
renewal.

The package turns a kubeconfig's user into headers and files. This module adds three things. It
reports the failure of an exec plugin (the package logs the failure and continues without
credentials). It renews credentials that expire or that the server refuses. And once the package's
key files are read, it deletes them.
"""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubectl_selfhost.cluster.connection.proxy import proxy_for
from kubectl_selfhost.cluster.connection.tls import proxy_context, tls_context
from kubectl_selfhost.cluster.errors import BadConfig
from kubectl_selfhost.harmless import harmless

if TYPE_CHECKING:
    from kubernetes.client.configuration import Configuration

#: Credentials are renewed this many seconds before they expire.
_EARLY = 10.0


class Login:
    """Credentials and trust for one API server. Safe to use from several threads.

    ``renew`` replaces four values together: ``configuration``, ``context`` (None for plain http),
    ``proxy_context`` (None without an https:// proxy) and ``certificate`` (the user's own, in PEM;
    else empty).
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
        """Fill in the configuration; write its files into ``directory``."""
        raise NotImplementedError

    def _load(self) -> None:
        from kubernetes.client.configuration import Configuration

        configuration = Configuration()
        configuration.proxy = configuration.no_proxy = None  # see proxy_for
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
        """Return the current value of the Authorization header; empty without such a header."""
        if self._expires is not None and time.time() >= self._expires - _EARLY:
            self.renew(self.generation)
        with self._lock:
            return (self.configuration.get_api_key_with_prefix("authorization") or "").strip()

    def renew(self, generation: int) -> bool:
        """Replace the credentials of ``generation``; return False if the new ones are the same."""
        with self._lock:
            if self.generation == generation:
                before = self._identity()
                self._load()
                return self._identity() != before
        return True

    def _identity(self) -> object:
        return self.configuration.api_key.get("authorization")


def _content(path: str | None) -> bytes:
    """Return the content of a certificate's file, which OpenSSL has just read."""
    return Path(path).read_bytes() if path else b""


@dataclass(frozen=True)
class Chosen:
    """A cluster and a user of a kubeconfig, as ConfigNodes of the package, which know their file."""

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
                "Try `kubectl version` with the same kubeconfig.",
            ) from None
        data = chosen.cluster.value["cluster"]
        configuration.proxy, configuration.proxy_headers = proxy_for(
            configuration.host, data.get("proxy-url")
        )

    def _user_with_credentials(self, name: str) -> dict[str, Any]:
        """Return the user's entry; credentials replace an exec plugin."""
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
        # Try again with the plugin's new credentials: the certificate may be new.
        return super()._identity(), self._plugin_runs


def run_plugin(chosen: Chosen, name: str) -> dict[str, Any]:
    """Return the credentials of the user's exec plugin. Raise BadConfig if the plugin fails."""
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
        """Return whether this process runs in a pod that has a token."""
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
