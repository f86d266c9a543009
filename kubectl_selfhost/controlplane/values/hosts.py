"""The host name in a leader's identity.

A leader's identity is ``<host name>_<uuid>``, with the name from os.Hostname() (kube-controller-manager's
and kube-scheduler's server.go). The host's name may differ from the node's name: kubeadm and cloud
providers may use another form (node ``ip-10-0-0-11.ec2.internal`` on host ``ip-10-0-0-11``). A run
frees a process's lease only if the host is certain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

HOST_NAME_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Hosts:
    """The host names of a node, and of the other control-plane nodes, in lower case.

    A value without names is false: there is no other node.
    """

    names: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names)

    def runs(self, identity: str) -> bool:
        """Return whether the leader with this ``identity`` runs on this node for certain."""
        host = identity.rpartition("_")[0].lower()
        if host in self.others:
            return False
        here, there = (_has_form_of(host, names) for names in (self.names, self.others))
        return bool(host) and here and not there


#: The hosts of a control plane with one node.
ONLY_HOST = Hosts()


def names_of(node: dict) -> frozenset[str]:
    """Return the host names in a Node object."""
    metadata, addresses = node["metadata"], node.get("status", {}).get("addresses") or []
    found = [metadata["name"], (metadata.get("labels") or {}).get(HOST_NAME_LABEL, "")]
    found += [one["address"] for one in addresses if one["type"] == "Hostname"]
    return frozenset(name.lower() for name in found if name)


def among(node: str, nodes: Iterable[dict]) -> Hosts:
    """Return the host names of ``node``, and of the other ``nodes`` (Node objects)."""
    by_name = {one["metadata"]["name"]: names_of(one) for one in nodes}
    others = [names for name, names in by_name.items() if name != node]
    return Hosts(by_name.get(node, frozenset((node.lower(),))), frozenset().union(*others))


def _has_form_of(host: str, names: Collection[str]) -> bool:
    """Return whether ``host`` is one of ``names``, or the short or the long form of such a name."""
    return any(
        host == name or host.startswith(f"{name}.") or name.startswith(f"{host}.") for name in names
    )
