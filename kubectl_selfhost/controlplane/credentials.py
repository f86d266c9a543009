"""The certificates that kubeadm keeps on a control-plane node: their files, and who reads them.

Names are those of ``kubeadm certs renew``; paths are below /etc/kubernetes (kubeadm's certlist.go
and renewal/manager.go, the same from Kubernetes 1.30 to 1.37).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kubectl_selfhost.controlplane.component import CONTROLLER_MANAGER, SCHEDULER, Component
from kubectl_selfhost.controlplane.values import x509
from kubectl_selfhost.controlplane.values.x509 import Certificate

_CA, _ETCD_CA, _FRONT_PROXY_CA = "ca", "etcd-ca", "front-proxy-ca"


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its name, and its files."""

    name: str
    certificate: str
    key: str


AUTHORITIES = {
    _CA: Authority(_CA, "/pki/ca.crt", "/pki/ca.key"),
    _ETCD_CA: Authority(_ETCD_CA, "/pki/etcd/ca.crt", "/pki/etcd/ca.key"),
    _FRONT_PROXY_CA: Authority(
        _FRONT_PROXY_CA, "/pki/front-proxy-ca.crt", "/pki/front-proxy-ca.key"
    ),
}


@dataclass(frozen=True)
class Credential:
    """A certificate with its key.

    ``certificate`` is the file; a kubeconfig holds the key too, otherwise ``key`` is the key's file.
    ``authority`` has signed it. ``restarts`` is the component that reads it only when it starts.
    ``port``: a server shows it there.
    """

    name: str
    certificate: str
    key: str
    authority: Authority
    used_by: str
    restarts: Component | None = None
    port: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Return all its files, each once."""
        return tuple(dict.fromkeys((self.certificate, self.key)))


def _pair(name: str, path: str, authority: str, used_by: str, port: int = 0) -> Credential:
    files = f"/pki/{path}.crt", f"/pki/{path}.key"
    return Credential(name, *files, AUTHORITIES[authority], used_by, port=port)


def _kubeconfig(name: str, used_by: str, restarts: Component | None = None) -> Credential:
    return Credential(name, f"/{name}", f"/{name}", AUTHORITIES[_CA], used_by, restarts)


CREDENTIALS = (
    _pair("apiserver", "apiserver", _CA, "kube-apiserver", 6443),
    _pair("apiserver-kubelet-client", "apiserver-kubelet-client", _CA, "kube-apiserver"),
    _pair("apiserver-etcd-client", "apiserver-etcd-client", _ETCD_CA, "kube-apiserver"),
    _pair("front-proxy-client", "front-proxy-client", _FRONT_PROXY_CA, "kube-apiserver"),
    _pair("etcd-server", "etcd/server", _ETCD_CA, "etcd", 2379),
    _pair("etcd-peer", "etcd/peer", _ETCD_CA, "etcd", 2380),
    _pair("etcd-healthcheck-client", "etcd/healthcheck-client", _ETCD_CA, "administrators"),
    _kubeconfig("controller-manager.conf", CONTROLLER_MANAGER.name, CONTROLLER_MANAGER),
    _kubeconfig("scheduler.conf", SCHEDULER.name, SCHEDULER),
    _kubeconfig("admin.conf", "administrators"),
    _kubeconfig("super-admin.conf", "administrators"),
)
NAMES = tuple(one.name for one in CREDENTIALS)

#: Extensions that follow from the keys: the subject's and the issuer's key identifiers.
_SUBJECT_KEY, _ISSUER_KEY = b"\x55\x1d\x0e", b"\x55\x1d\x23"


def in_file(public: bytes) -> Certificate | None:
    """Return the certificate in the public part of a file, PEM or a kubeconfig's base64; None if
    there is none.
    """
    der = x509.first_in_pem(public)
    if der is None:
        try:
            der = x509.first_in_pem(base64.b64decode(public, validate=True))
        except binascii.Error:
            return None
    return x509.parse(der) if der is not None else None


def wrong(new: Certificate, *, old: Certificate, authority: Certificate, now: datetime) -> str:
    """Return why ``new`` can't take the place of ``old``, empty if it can."""
    if new.fingerprint == old.fingerprint:
        return "it is the former certificate"
    if new.subject != old.subject:
        return "it has another subject"
    if _lasting(new.extensions) != _lasting(old.extensions):
        return "it has other names or another purpose"
    if new.issuer != authority.subject or new.is_signed_by(authority) is False:
        return "the authority on the node did not sign it"
    if not new.not_before <= now < new.not_after:
        return "it is not valid now"
    if new.not_after < old.not_after:
        return "it ends sooner"
    return ""


def _lasting(extensions: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    keys = (_SUBJECT_KEY, _ISSUER_KEY)
    return {name: value for name, value in extensions.items() if name not in keys}
