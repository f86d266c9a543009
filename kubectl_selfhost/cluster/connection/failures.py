"""From the exceptions of urllib3, OpenSSL and the sockets to words that say why no answer came."""

from __future__ import annotations

import http.client
import socket
import ssl

from kubectl_selfhost.cluster.errors import Unreachable, Untrusted
from kubectl_selfhost.harmless import harmless

_HINTS = {
    "dns": "Check the server's name in the kubeconfig, and the network (or VPN).",
    "refused": "Nothing listens at this address. Check --context, and whether the cluster runs.",
    "timeout": "Check the network (or VPN), and whether this machine can reach the address.",
    "proxy": "Check proxy-url in the kubeconfig, or HTTPS_PROXY and NO_PROXY.",
}


def as_unreachable(error: BaseException, *, server: str, proxy: str | None = None) -> Unreachable:
    """Return the error for a failure on the way to ``server``."""
    if isinstance(error, Unreachable):
        return error
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            if _is_of_proxy(causes):
                return _untrusted_proxy(cause, proxy)
            return _untrusted(cause, server)
    kind, said = _kind_of(causes)
    where = f" through the proxy {proxy}" if proxy else ""
    message = f"The API server {server} does not answer{where}: {said}."
    return Unreachable(message, _HINTS.get(kind, ""), reason=kind, detail=said)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exception and all its causes; urllib3 keeps the first cause in the arguments."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        left += [one.__cause__, one.__context__]
        left += [value for value in one.args if isinstance(value, BaseException)]
    return found


def _is_of_proxy(causes: list[BaseException]) -> bool:
    from urllib3.exceptions import ProxyError

    return any(isinstance(cause, ProxyError) for cause in causes)


def _kind_of(causes: list[BaseException]) -> tuple[str, str]:
    if _is_of_proxy(causes):
        return "proxy", harmless(f"the proxy refuses the connection ({causes[-1]})")
    for cause in causes:
        known = _known(cause)
        if known is not None:
            return known
    text = getattr(causes[-1], "strerror", None) or str(causes[-1]) or type(causes[-1]).__name__
    return "network", harmless(str(text))


def _known(error: BaseException) -> tuple[str, str] | None:
    from urllib3.exceptions import IncompleteRead
    from urllib3.exceptions import TimeoutError as UrllibTimeout

    if isinstance(error, ConnectionRefusedError):
        return "refused", "connection refused"
    if isinstance(error, socket.gaierror):
        return "dns", f"the name can't be resolved ({error.strerror})"
    if isinstance(error, (http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "closed", "the connection was closed without an answer"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return "reset", "connection reset"
    if isinstance(error, TimeoutError) or (
        isinstance(error, UrllibTimeout) and not isinstance(error.__cause__, OSError)
    ):
        return "timeout", "no answer in time"
    if isinstance(error, (http.client.IncompleteRead, IncompleteRead)):
        return "closed", "the connection was closed in the middle of an answer"
    if isinstance(error, ssl.SSLError):
        return "tls", f"TLS failed ({error.reason or error})"
    if isinstance(error, http.client.HTTPException):
        return "closed", f"no HTTP answer ({type(error).__name__})"
    return None


def _untrusted_proxy(error: ssl.SSLCertVerificationError, proxy: str | None) -> Untrusted:
    said = f"its certificate is not valid ({error.verify_message.rstrip('.')})"
    return Untrusted(
        f"The proxy {proxy} can't be trusted: {said}.",
        "The proxy's certificate must be for this name, and from an authority of this machine or "
        "from the kubeconfig's certificate-authority.",
        reason="tls",
        detail=said,
    )


def _untrusted(error: ssl.SSLCertVerificationError, server: str) -> Untrusted:
    # X509_V_ERR_*, openssl/x509_vfy.h.
    if error.verify_code == 10:
        said, hint = (
            "its certificate has expired",
            "Renew the certificates on the node: `kubectl selfhost recover --print --expired` prints the "
            "commands.",
        )
    elif error.verify_code == 9:
        said, hint = "its certificate is not valid yet", "Check the clock of this machine."
    elif error.verify_code in (62, 63, 64):
        said = f"its certificate is for another name ({error.verify_message.rstrip('.')})"
        hint = (
            "Use a server address from the certificate, or set tls-server-name in the kubeconfig."
        )
    else:
        said = f"its certificate is from an unknown authority ({error.verify_message})"
        hint = "Check whether the kubeconfig is from another (or an older) cluster at this address."
    return Untrusted(
        f"The API server {server} can't be trusted: {said}.", hint, reason="tls", detail=said
    )
