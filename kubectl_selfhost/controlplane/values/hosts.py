"""The name by which a process says on which host it runs.

A leader calls itself ``<host name>_<uuid>`` by os.Hostname() (kube-controller-manager's and
kube-scheduler's server.go). The host's own name may differ from the node's: kubeadm and cloud
providers may set another form of it (node ``ip-10-0-0-11.ec2.internal`` on host ``ip-10-0-0-11``).
A run takes a lease from a process only if the host is known for certain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

HOST_NAME_LABEL = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Hosts:
    """The names of one node's host, and those of the other control-plane nodes' hosts, in lower case.

    A value without names is false: there is no other node to tell this one from.
    """

    names: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names)

    def runs(self, identity: str) -> bool:
        """Return whether the leader with this ``identity`` runs here; False if this is
        not certain.
        """
        host = identity.rpartition("_")[0].lower()
        if host in self.others:
            return False
        here, there = (_has_form_of(host, names) for names in (self.names, self.others))
        return bool(host) and here and not there


#: The hosts of a control plane with one node.
ONLY_HOST = Hosts()


def names_of(node: dict) -> frozenset[str]:
    """Return the names that a Node object gives its host."""
    metadata, addresses = node["metadata"], node.get("status", {}).get("addresses") or []
    found = [metadata["name"], (metadata.get("labels") or {}).get(HOST_NAME_LABEL, "")]
    found += [one["address"] for one in addresses if one["type"] == "Hostname"]
    return frozenset(name.lower() for name in found if name)


def among(node: str, nodes: Iterable[dict]) -> Hosts:
    """Return the names that tell the host of ``node`` from the hosts of the other ``nodes`` (Node
    objects).
    """
    by_name = {one["metadata"]["name"]: names_of(one) for one in nodes}
    others = [names for name, names in by_name.items() if name != node]
    return Hosts(by_name.get(node, frozenset((node.lower(),))), frozenset().union(*others))


def _has_form_of(host: str, names: Collection[str]) -> bool:
    """Return whether ``host`` is one of ``names``, or the short or the long form of one."""
    return any(
        host == name or host.startswith(f"{name}.") or name.startswith(f"{host}.") for name in names
    )
