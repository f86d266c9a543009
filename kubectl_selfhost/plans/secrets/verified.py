"""Whether the credentials of a node are good for what they are used for, before anything uses them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

from kubectl_selfhost.cluster import pairs
from kubectl_selfhost.controlplane.component import APISERVER, Component
from kubectl_selfhost.controlplane.daemonset import reads
from kubectl_selfhost.controlplane.daemonset.reads import Read
from kubectl_selfhost.controlplane.daemonset.stored import HostFile
from kubectl_selfhost.controlplane.values import x509

#: Under this name pods call the API.
_SERVICE = "kubernetes.default.svc"
#: Fields of a kubeconfig that name a file.
_NAMES_A_FILE = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_CLIENT_CA = "client-ca-file"


def wrong(
    meant: Mapping[Component, Sequence[Read]], files: Mapping[str, HostFile], address: str
) -> Iterator[str]:
    """Yield what is wrong with what components read on a node, each in a phrase that begins with the
    file.

    ``address`` is the one under which the node's API server is known.
    """
    by_flag = {component: _by_flag(of, files) for component, of in meant.items()}
    authority = next(
        (
            flags[_CLIENT_CA][0]
            for component, flags in by_flag.items()
            if component.name == APISERVER.name and _CLIENT_CA in flags
        ),
        None,
    )
    for flags in by_flag.values():
        yield from _of_component(flags, authority, address)


def _of_component(
    flags: Mapping[str, list[HostFile]], client_ca: HostFile | None, address: str
) -> Iterator[str]:
    for (certificate, key), authority in reads.PAIRS.items():
        if certificate in flags and key in flags and authority in flags:
            pair = flags[certificate][0], flags[key][0]
            yield from _told(pair[0], _of_pair(certificate, *pair, flags[authority][0], address))
    for name, signer in flags.items():
        certificate = name.replace("-key-file", "-cert-file")
        if name.startswith("cluster-signing-") and name != certificate and certificate in flags:
            found = pairs.wrong_with_pair(flags[certificate][0].content, signer[0].content)
            yield from _told(signer[0], found)
    yield from _of_accounts(flags)
    for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"):
        for one in flags.get(name, ()):
            yield from _told(one, _of_kubeconfig(one, client_ca))


def _by_flag(of: Sequence[Read], files: Mapping[str, HostFile]) -> dict[str, list[HostFile]]:
    found: dict[str, list[HostFile]] = {}
    for read in of:
        found.setdefault(read.flag, []).append(files[read.path])
    return found


def _told(file: HostFile, why: str) -> Iterator[str]:
    if why:
        yield f"{reads.FOLDER}{file.path}: {why}"


def _of_pair(
    flag: str, certificate: HostFile, key: HostFile, authority: HostFile, address: str
) -> str:
    if flag == reads.SERVING:
        return pairs.wrong_with_server(
            certificate.content,
            key.content,
            authority=authority.content,
            names=(address, _SERVICE),
        )
    return pairs.wrong_with_client(certificate.content, key.content, authority=authority.content)


def _of_accounts(flags: Mapping[str, list[HostFile]]) -> Iterator[str]:
    public = [x509.public_key(one.content) for one in flags.get("service-account-key-file", ())]
    for signing in flags.get("service-account-signing-key-file", ()):
        if any(public) and not any(
            x509.is_private_key_of(signing.content, key) for key in public if key
        ):
            yield from _told(signing, "no public key of service accounts belongs to it")


def _of_kubeconfig(file: HostFile, authority: HostFile | None) -> str:
    """Return what is wrong with a kubeconfig. The API server's own authority verifies its client."""
    import yaml

    try:
        users = yaml.safe_load(file.content)
        entries = [
            *[one["user"] for one in users["users"]],
            *[one["cluster"] for one in users["clusters"]],
        ]
    except (yaml.YAMLError, KeyError, TypeError):
        return "it is no kubeconfig"
    for entry in entries:
        for field in _NAMES_A_FILE:
            if entry.get(field):
                return f"it names the file {entry[field]} ({field}), which would stay on the node"
    for entry in entries:
        data = [entry.get(f"client-{what}-data") for what in ("certificate", "key")]
        if all(data) and authority is not None:
            try:
                certificate, key = (base64.b64decode(str(one), validate=True) for one in data)
            except binascii.Error:
                return "its client certificate is not whole"
            return pairs.wrong_with_client(certificate, key, authority=authority.content)
    return ""
