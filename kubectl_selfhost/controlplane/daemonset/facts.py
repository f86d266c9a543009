"""The facts of nodes and of the agent for DaemonSets and recovery copies, and names in their pods."""

from __future__ import annotations

from dataclasses import dataclass

from kubectl_selfhost.controlplane import program as programs

WAIT_CONTAINER = "wait-port"
NODE_VOLUME = "kubectl-selfhost-node"
AGENT_MOUNT = "/selfhost"
NODE_MOUNT = "/selfhost-node"
HOST_IP = "HOST_IP"
#: The loopback addresses at which a self-hosted API server is probed. Two instances side by side have
#: different addresses, so that a hand-over can tell them apart (each rollout uses the other address).
#: 127.0.0.1 is not among them: programs on the node may call the API there.
PROBE_ADDRESSES = ("127.0.0.2", "127.0.0.3")
#: A new instance counts as available when it has been Ready for this many seconds. So a rollout does
#: not delete the old instance for a new instance that exits at once.
MIN_READY_SECONDS = 10


@dataclass(frozen=True)
class NodeFacts:
    """The facts of a control-plane node: ``host_ip`` is its pods' status.hostIP,
    ``advertise_address`` the address that its kube-apiserver advertises (None if unknown), ``arch``
    its kubernetes.io/arch; ``role`` is the value of its control-plane label, which kubeadm leaves
    empty.
    """

    name: str
    host_ip: str
    advertise_address: str | None
    arch: str
    role: str = ""


@dataclass(frozen=True)
class AgentFacts:
    """The place of the node agent's program for a pod: the Secret, the CPU ``arch``, and our
    directory on the node (``node_directory``, an absolute path).
    """

    arch: str
    secret: str
    node_directory: str

    @property
    def program(self) -> str:
        return f"{AGENT_MOUNT}/{programs.file_name(self.arch)}"
