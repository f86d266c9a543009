"""The seal on files with keys in them, on their way between a node and this program.

What protects what: kubeadm's API servers do not verify the kubelets' certificates. So a stranger on the
nodes' network can pretend to be a kubelet, read what is sent to an agent, and answer in its place. He
can't reach a real agent. So what an agent says of keys is authenticated, and what an agent gets of keys
is encrypted, with a key that no kubelet's connection carries in clear: the key is in a Secret, which the
kubelet of the agent's pod reads from an API server that the kubelet has verified. Each start of an agent
has a key of its own, and the Secret goes with the agent's pod, its owner.

The seal is made of HMAC-SHA256 alone, which Python has and the agent needs anyway: a stream (counter
mode over a fresh random nonce, as in NIST SP 800-108), then a tag over all of it. The label in the tag
says the direction, the file, and which question is answered, so that no seal fits in another's place.
``packaging/agent/credentials/seal.h`` says the same in C.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

from kubectl_selfhost.errors import SelfhostError
from kubectl_selfhost.names import (
    CREDENTIALS_LABEL,
    FIELD_MANAGER,
    NAMESPACE,
    SEAL,
    pod_name,
)

_HALF, _NONCE, _TAG = 32, 16, 32
#: The key's file in the Secret.
FILE = "key"


class BrokenSeal(SelfhostError):
    """What came is not what was sealed: somebody has changed it, or it is another's."""


@dataclass(frozen=True)
class SealKey:
    """The key of one start of an agent; ``name`` is the Secret's. No text shows the key itself."""

    name: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, node: str) -> SealKey:
        """Return a new key. The Secret's name is new, too: a kubelet keeps an immutable Secret's
        content by the name.
        """
        name = f"{pod_name(SEAL, node)}-{secrets.token_hex(4)}"
        return cls(name, secrets.token_bytes(2 * _HALF))

    def manifest(self, owner: dict) -> dict:
        """Return the Secret with the key, which goes when its ``owner``, the agent's pod, goes."""
        metadata = owner["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "labels": {
                    CREDENTIALS_LABEL: "seal",
                    "app.kubernetes.io/managed-by": FIELD_MANAGER,
                },
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    }
                ],
            },
            "type": "Opaque",
            "immutable": True,
            "data": {FILE: base64.b64encode(self.secret).decode()},
        }

    def seal(self, label: str, plain: bytes) -> bytes:
        """Return ``plain`` sealed."""
        nonce = secrets.token_bytes(_NONCE)
        hidden = self._stream(nonce, plain)
        return nonce + self._tag(label, nonce, hidden) + hidden

    def unseal(self, label: str, sealed: bytes) -> bytes:
        """Return what was sealed. Raise BrokenSeal unless this key sealed it under this ``label``."""
        nonce, rest = sealed[:_NONCE], sealed[_NONCE:]
        tag, hidden = rest[:_TAG], rest[_TAG:]
        if not hmac.compare_digest(tag, self._tag(label, nonce, hidden)):
            raise BrokenSeal(
                "The seal on a file from the node is broken: it did not come from the node agent.",
                "Somebody between the API server and the kubelet may pretend to be the kubelet. Look "
                "for the cause on the nodes' network before you run the command again.",
            )
        return self._stream(nonce, hidden)

    def _tag(self, label: str, nonce: bytes, hidden: bytes) -> bytes:
        return hmac.digest(self.secret[_HALF:], label.encode() + nonce + hidden, sha256)

    def _stream(self, nonce: bytes, content: bytes) -> bytes:
        made = b"".join(
            hmac.digest(self.secret[:_HALF], nonce + number.to_bytes(4, "big"), sha256)
            for number in range(-(-len(content) // _TAG))
        )
        return bytes(a ^ b for a, b in zip(content, made, strict=False))


def from_node(file: str, challenge: str) -> str:
    """Return the label of a file that the agent was asked for with ``challenge``."""
    return f"from the node\n{file}\n{challenge}\n"


def to_node(file: str, folder: str) -> str:
    """Return the label of a file that goes into a set of files on the node."""
    return f"to the node\n{file}\n{folder}\n"
