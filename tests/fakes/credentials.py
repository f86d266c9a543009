"""The certificates' files on a fake node, the agent's orders about them, and the node's kubeadm."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from fakes import certificates
from kubectl_selfhost.controlplane.credentials import (
    AUTHORITIES,
    CREDENTIALS,
    Credential,
    in_file,
)
from kubectl_selfhost.controlplane.values import x509
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node import sealed

if TYPE_CHECKING:
    from fakes.plane import Node

Fields = dict[str, Any]
Files = dict[str, bytes]
_PORTS = {6443: "/pki/apiserver.crt", 2379: "/pki/etcd/server.crt", 2380: "/pki/etcd/peer.crt"}


class Refused(Exception):
    """An order that the agent refuses: its word for the kind of reason, and the reason."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass
class Credentials:
    """The files: the node's own, and sets of them in our directory. ``immutable``: none of these can
    be replaced. ``spoil``: kubeadm makes what does not fit. ``kubeadm``: the node has it.
    """

    files: Files = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    sets: dict[str, Files] = field(default_factory=dict)
    immutable: set[str] = field(default_factory=set)
    spoil: str = ""
    kubeadm: bool = True
    serial: int = 1000
    renewed: list[str] = field(default_factory=list)
    #: What servers show that don't read the node's files, by the port.
    shown: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in AUTHORITIES.values():
            self.serial += 1
            end = datetime.now(timezone.utc) + timedelta(days=3650)
            self.files[one.certificate] = certificates.certificate(
                one.name, issuer=one.name, serial=self.serial, end=end
            )
            self.files[one.key] = certificates.private_key(self.serial)
        for one in CREDENTIALS:
            self.make(self.files, one.name, days=100)
        self.files["/pki/sa.key"] = certificates.private_key(1)
        self.files["/pki/sa.pub"] = b"the public key of service accounts\n"

    def make(self, files: Files, name: str, *, days: float) -> None:
        """Write a new certificate with its key, as kubeadm does."""
        (one,) = (one for one in CREDENTIALS if one.name == name)
        if self.spoil == "none":
            return
        self.serial += 1
        pem = certificates.certificate(
            "another" if self.spoil == "subject" else name,
            issuer=one.authority.name,
            serial=self.serial,
            end=datetime.now(timezone.utc) + timedelta(days=days),
            names=f"names of {name}",
        )
        key = certificates.private_key(self.serial + (self.spoil == "key"))
        if one.key == one.certificate:
            files[one.key] = certificates.kubeconfig(pem, key)
        else:
            files[one.certificate], files[one.key] = pem, key

    def share(self, other: Credentials) -> None:
        """Take the files that all nodes have alike."""
        authorities = [path for one in AUTHORITIES.values() for path in (one.certificate, one.key)]
        for path in (*authorities, "/pki/sa.key", "/pki/sa.pub"):
            self.files[path] = other.files[path]

    def facts(self, path: str) -> tuple[str, int, int]:
        """Return the mode and the owner of a file, which never change here."""
        return ("0644" if path.endswith((".crt", ".pub")) else "0600"), 0, 0

    def of(self, name: str | None) -> Files:
        return self.files if name is None else self.sets.setdefault(name, {})

    def misfits(self) -> list[str]:
        """Return the certificates whose key is another's, or that are not there."""
        return [one.name for one in CREDENTIALS if not self._fits(one)]

    def _fits(self, one: Credential) -> bool:
        found = in_file(_public(self.files.get(one.certificate, b"")))
        return found is not None and found.key in private(self.files.get(one.key, b""))

    def likeness(self) -> Any:
        """Return what a later run depends on: which files are where, and which are alike."""
        whole = {None: self.files, **self.sets}
        seen: dict[bytes, int] = {}
        return sorted(
            (
                re.sub(r"\d+t\d+z", "", name or ""),
                sorted((path, seen.setdefault(one, len(seen))) for path, one in files.items()),
            )
            for name, files in whole.items()
        )


class CredentialOrders:
    """The agent's orders about these files."""

    _node: Node

    @property
    def _credentials(self) -> Credentials:
        return self._node.credentials

    def _certificates(self, fields: Fields) -> Fields:
        files = self._credentials.of(fields.get("from"))
        return {
            "files": [
                {
                    "file": path,
                    "sha256": hashlib.sha256(files[path]).hexdigest(),
                    "changed": int(self._credentials.changed.get(path, 0)),
                    "public": _public(files[path]).hex(),
                    **dict(zip(("mode", "uid", "gid"), self._credentials.facts(path), strict=True)),
                }
                for path in fields["files"]
                if path in files
            ]
        }

    def _copy(self, fields: Fields) -> Fields:
        source = self._credentials.of(fields.get("from"))
        to = fields.get("to")
        for path in fields["files"]:
            if path not in source:
                raise Refused("not-found", f"cannot read {path}")
        for path in fields["files"]:
            if to is None and path in self._credentials.immutable:
                raise Refused("io", f"cannot write {path}: Operation not permitted")
            self._credentials.of(to)[path] = source[path]
            if to is None:
                # A new process never starts in the same second; here no time passes by itself.
                self._credentials.changed[path] = self._node.world.seconds_since_1970() - 1
        return {"copied": len(fields["files"])}

    def _holds(self, fields: Fields) -> Fields:
        (path,) = fields["files"]
        der = private(self._credentials.of(fields.get("from"))[path])
        return {"holds": fields["content"] in der}

    def _seal(self, fields: Fields) -> Fields:
        (path,) = fields["files"]
        if path not in self._credentials.files:
            raise Refused("not-found", f"{path} is gone")
        mode, uid, gid = self._credentials.facts(path)
        plain = f"{mode} {uid} {gid}\n".encode() + self._credentials.files[path]
        return {"sealed": self._key().seal(sealed.from_node(path, fields["reason"]), plain).hex()}

    def _unseal(self, fields: Fields) -> Fields:
        (path,) = fields["files"]
        plain = self._key().unseal(sealed.to_node(path, fields["to"]), fields["content"])
        line, _, content = plain.partition(b"\n")
        mode, uid, gid = line.decode().split()
        assert (mode, int(uid), int(gid)) == self._credentials.facts(path)
        self._credentials.of(fields["to"])[path] = content
        return {"stored": path}

    def _key(self) -> sealed.SealKey:
        """Return the key in the Secret that the agent's pod mounts."""
        store = self._node.world.store
        pod = store.get("pods", agent_pod.pod_name(self._node.name), "kube-system")
        (name,) = (o["secret"]["secretName"] for o in pod["spec"]["volumes"] if o["name"] == "key")
        held = store.get("secrets", name, "kube-system")["data"][sealed.FILE]
        return sealed.SealKey(name, base64.b64decode(held))

    def _sets(self, fields: Fields) -> Fields:
        return {"sets": list(self._credentials.sets)}

    def _drop(self, fields: Fields) -> None:
        self._credentials.sets.pop(fields["from"], None)

    def _hello(self, fields: Fields) -> Fields:
        here, port = self._credentials, fields["port"]
        der = x509.first_in_pem(here.shown.get(port, here.files[_PORTS[port]]))
        assert der is not None
        return {"answer": certificates.shown(der).hex()}


def kubeadm(node: Node, words: list[str]) -> tuple[int, str]:
    """Return the exit code and the words of the node's kubeadm, as the agent's pod runs it."""
    here = node.credentials
    if words == ["version", "-o", "short"]:
        return 0, "v1.37.2\n"
    assert words[:2] == ["certs", "renew"]
    (one,) = (one for one in CREDENTIALS if one.name == words[2])
    files = here.of("new")
    if one.authority.key not in files:
        return 1, "failure loading the authority's key"
    here.make(files, one.name, days=365)
    here.renewed.append(one.name)
    return 0, f"certificate {one.name} renewed\n"


def wrong_pair(certificate: bytes, key: bytes, **_: Any) -> str:
    """Stand in for a handshake in memory, which no certificate of these would pass."""
    found = in_file(certificate)
    return "" if found and found.key in private(key) else "key values mismatch"


def private(text: bytes) -> bytes:
    """Return the private key's DER in a file."""
    inside = re.search(rb"client-key-data: (\S+)", text)
    pem = base64.b64decode(inside[1]) if inside else text
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def _public(text: bytes) -> bytes:
    inside = re.search(rb"client-certificate-data: (\S+)", text)
    if inside:
        return inside[1]
    return b"".join(re.findall(rb"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", text, re.DOTALL))
