"""Names that we give to things in a cluster and on a node.

They are the contract between one run and the next (and the next version): whoever renames one
must also find what an earlier version left under the old name.
"""

NAMESPACE = "kube-system"
FIELD_MANAGER = "kubectl-selfhost"

#: Only nodes with this label run our DaemonSets: a control-plane node that is joined later brings
#: static pods of its own and must not be given a second set before it is pivoted.
NODE_LABEL = "kubectl-selfhost/pivoted"
#: Its value on nodes that are alike and share the DaemonSets; elsewhere it names a group of nodes that
#: have DaemonSets of their own, for they differ.
SHARED_BY_ALL = "true"
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"

JOURNAL = "kubectl-selfhost-journal"
LEASE = "kubectl-selfhost"

AGENT = "kubectl-selfhost-agent"
AGENT_LABELS = {
    "app.kubernetes.io/name": AGENT,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}

#: The static pod that looks after a rebooted node, and the copies that it starts there. The label says
#: which component a copy stands in for.
GUARDIAN = "kubectl-selfhost-guardian"
RECOVERY = "kubectl-selfhost-recovery"
RECOVERS_LABEL = "kubectl-selfhost/recovers"


def cut(name: str, length: int) -> str:
    """Return the first ``length`` characters of an object's name; what is left is a valid name.

    A part of a DNS name may not end in a dash, and no name in a dot (RFC 1123).
    """
    return name[:length].rstrip("-.")


def guardian_pod(node: str) -> str:
    """The name of the guardian's mirror pod: the kubelet appends the node's, in lower case."""
    return f"{GUARDIAN}-{node.lower()}"


#: What a probe makes, for as long as it runs.
PROBE = "kubectl-selfhost-probe"
PROBE_LABELS = {
    "app.kubernetes.io/name": PROBE,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}

#: Our directory on a node lies beside the kubelet's staticPodPath, so that a manifest can be renamed
#: into it: a rename is atomic only inside one file system.
NODE_DIRECTORY = "kubectl-selfhost"

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
CONFIG_HASH_ANNOTATION = "kubernetes.io/config.hash"
CONFIG_SOURCE_ANNOTATION = "kubernetes.io/config.source"
ADVERTISE_ADDRESS_ANNOTATION = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"
