"""The control plane's certificates on a node: the agent's orders about their files, and the node's
own kubeadm, which makes new ones.

The agent answers with public parts only, and says of a key just whether it belongs to a certificate. Keys
travel only if a person moves credentials into Secrets or back, and then they are sealed (``sealed``).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubectl_selfhost.cluster import certificate
from kubectl_selfhost.cluster.errors import ApiError, Unreachable
from kubectl_selfhost.controlplane.credentials import in_file
from kubectl_selfhost.controlplane.daemonset.stored import HostFile
from kubectl_selfhost.controlplane.values import x509
from kubectl_selfhost.controlplane.values.x509 import Certificate
from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.node import pod as agent_pod
from kubectl_selfhost.node import sealed
from kubectl_selfhost.node.agent import AgentError, NodeAgent

#: The names of former sets; the last ones are kept.
KEPT, KEEP = "kept-", 2
#: The set of files that kubeadm works on; the agent's pod shows it to kubeadm as /etc/kubernetes.
NEW = agent_pod.NEW_CREDENTIALS
#: The most files in one order (LIST_MAX of the agent).
_AT_ONCE = 8
#: Where packages and images put kubeadm, as the agent's pod sees the node (it has the node's pids).
_KUBEADM = tuple(
    f"/proc/1/root{folder}/kubeadm" for folder in ("/usr/bin", "/usr/local/bin", "/opt/bin")
)
#: Seconds. kubeadm first asks the API for its configuration.
_KUBEADM_LIMIT = 60.0
#: Seconds: for how long a lost answer is asked for again at least, and how soon.
_PATIENCE, _AGAIN = 15.0, 1.0
#: How much of what kubeadm says is looked at.
_WORDS = 600


@dataclass(frozen=True)
class CredentialFile:
    """A file: its SHA-256, when it was changed (seconds since 1970 by the node's clock), the
    certificate in it, its mode (octal digits) and owner.
    """

    path: str
    sha256: str
    changed: int
    certificate: Certificate | None
    mode: str = ""
    uid: int = 0
    gid: int = 0

    def is_like(self, file: HostFile) -> bool:
        """Return whether the file has these bytes, this mode and this owner."""
        facts = hashlib.sha256(file.content).hexdigest(), file.mode, file.uid, file.gid
        return facts == (self.sha256, self.mode, self.uid, self.gid)


class CredentialFiles:
    """The certificates' files on the agent's node. A set is named; None is the node's own."""

    def __init__(self, agent: NodeAgent) -> None:
        self._agent = agent

    def look(self, paths: Sequence[str], *, of: str | None = None) -> dict[str, CredentialFile]:
        """Return the files that there are, by path."""
        found = {}
        for some in _in_pieces(paths):
            answer = self._agent.order("certificates", files=some, **_named(from_=of))
            for one in answer["files"]:
                found[one["file"]] = CredentialFile(
                    path=one["file"],
                    sha256=one["sha256"],
                    changed=one["changed"],
                    certificate=in_file(bytes.fromhex(one["public"])),
                    mode=one["mode"],
                    uid=one["uid"],
                    gid=one["gid"],
                )
        return found

    def copy(
        self, paths: Sequence[str], *, of: str | None, to: str | None, link: bool = False
    ) -> None:
        """Copy files from one set to another, with mode, owner and times."""
        for some in _in_pieces(paths):
            self._agent.order("copy", files=some, link=link, **_named(from_=of, to=to))

    def holds(self, path: str, key: bytes, *, of: str) -> bool:
        """Return whether the private key in a file belongs to the public ``key``."""
        answer = self._agent.order("holds", files=[path], content=key, **_named(from_=of))
        return bool(answer["holds"])

    def read(self, path: str) -> HostFile:
        """Return a file of the node's own, keys included, which comes sealed."""
        challenge = secrets.token_hex(16)
        answer = self._agent.order("seal", files=[path], reason=challenge, key=agent_pod.KEY_FILE)
        plain = self._key.unseal(sealed.from_node(path, challenge), bytes.fromhex(answer["sealed"]))
        line, _, content = plain.partition(b"\n")
        mode, uid, gid = line.decode().split()
        return HostFile(path, mode, int(uid), int(gid), content)

    def write(self, file: HostFile, *, to: str) -> None:
        """Write a file, which travels sealed, into a set of ours, with its mode and owner."""
        line = f"{file.mode} {file.uid} {file.gid}\n".encode()
        content = self._key.seal(sealed.to_node(file.path, to), line + file.content)
        self._agent.order(
            "unseal", files=[file.path], content=content, key=agent_pod.KEY_FILE, to=to
        )

    @property
    def _key(self) -> sealed.SealKey:
        if self._agent.key is None:
            raise SelfhostError(
                f"This run has no key for the node agent on {self._agent.target.node}.",
                "Run the command again.",
            )
        return self._agent.key

    def sets(self) -> list[str]:
        """Return the names of our sets, sorted."""
        return sorted(self._agent.order("sets")["sets"])

    def drop(self, name: str) -> None:
        """Remove a set of ours."""
        self._agent.order("drop", **_named(from_=name))

    def shown_at(self, address: str, port: int) -> Certificate | None:
        """Return the certificate that a server on the node shows; None if nobody shows one."""
        try:
            answer = self._agent.order(
                "hello", address=[address], port=port, content=certificate.hello()
            )
        except AgentError:
            return None
        der = certificate.shown_in(bytes.fromhex(answer["answer"]))
        return x509.parse(der) if der is not None else None

    def kubeadm(self) -> str:
        """Return the path of the node's kubeadm, empty if it isn't in one of its usual places."""
        for path in _KUBEADM:
            try:
                if self._run([path, "version", "-o", "short"])[0] == 0:
                    return path
            except ApiError as error:
                if error.status != 500:  # a program that isn't there is an InternalError
                    raise
        return ""

    def renew(self, kubeadm: str, name: str) -> bool:
        """Have kubeadm renew a certificate of the set NEW; return whether it did so by its
        configuration in the cluster. Raise SelfhostError with kubeadm's words.
        """
        code, said = self._run([kubeadm, "certs", "renew", name])
        if code != 0:
            raise SelfhostError(
                f"kubeadm on node {self._agent.target.node} did not renew {name}: {said}",
                f"Run `kubeadm certs check-expiration` on the node {self._agent.target.node}.",
            )
        return "default configuration" not in said

    def _run(self, words: list[str]) -> tuple[int, str]:
        """Return kubeadm's exit code and words. Run kubeadm again if its answer was lost, for as long
        as the cluster is patient: what two of them make of the set NEW is verified, as of one.
        """
        cluster, began = self._agent.cluster, time.monotonic()
        while True:
            try:
                result = cluster.exec(
                    self._agent.pod, agent_pod.CONTAINER, words, timeout=_KUBEADM_LIMIT
                )
            except Unreachable:
                if time.monotonic() - began >= max(cluster.patience, _PATIENCE):
                    raise
                time.sleep(_AGAIN)
            else:
                return result.exit_code, (result.stderr + result.stdout).strip()[-_WORDS:]


def _named(*, from_: str | None = None, to: str | None = None) -> dict[str, str]:
    return {name: one for name, one in (("from", from_), ("to", to)) if one is not None}


def _in_pieces(paths: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(paths), _AT_ONCE):
        yield list(paths[at : at + _AT_ONCE])
