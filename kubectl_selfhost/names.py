"""The names of what kubectl selfhost creates in a cluster and on a node.

A run finds what an earlier run made by these names, also a run of an earlier version. So a version
that changes a name must also look for the old name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

NAMESPACE = "kube-system"
FIELD_MANAGER = "kubectl-selfhost"

#: Only nodes with this label run the self-hosted DaemonSets. A control-plane node that joins later
#: brings static pods, so it must not get the DaemonSets' pods before it is pivoted.
NODE_LABEL = "kubectl-selfhost/pivoted"
#: The label's value on nodes that are alike and share the DaemonSets. On nodes that differ, the value
#: names the group of nodes that have DaemonSets of their own.
SHARED_BY_ALL = "true"
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"

JOURNAL = "kubectl-selfhost-journal"
#: ConfigMaps with the objects that an upgrade changes, as they were before; the version follows.
BEFORE = "kubectl-selfhost-before"
BEFORE_LABELS = {
    "app.kubernetes.io/name": BEFORE,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}
LEASE = "kubectl-selfhost"

AGENT = "kubectl-selfhost-agent"
AGENT_LABELS = {
    "app.kubernetes.io/name": AGENT,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}

#: On the agent's pod: the uid of the Secret that held the program when the pod was created.
PROGRAM_UID_ANNOTATION = "kubectl-selfhost/program-uid"

_LABEL_MAX = 63


def pod_name(prefix: str, node: str) -> str:
    """Return the name of our pod on ``node``. The name is always the same, so two runs can't have
    a pod each.

    The name is a DNS label, because the kubelet makes the pod's host name from it. If the node's name
    does not fit (dots, too long), a digest of the node's name keeps the pods of two nodes apart.
    """
    name = f"{prefix}-{node}"
    if len(name) <= _LABEL_MAX and "." not in node:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:10]
    return f"{cut(name.replace('.', '-'), _LABEL_MAX - len(digest) - 1)}-{digest}"


#: The static pod that restores a rebooted node, and the copies that it starts there. The label names
#: the component that the copy runs.
GUARDIAN = "kubectl-selfhost-guardian"
RECOVERY = "kubectl-selfhost-recovery"
RECOVERS_LABEL = "kubectl-selfhost/recovers"
#: On the guardian's pod: the name of the Secret from which the guardian's program was copied.
GUARDIAN_PROGRAM_ANNOTATION = "kubectl-selfhost/program"
#: On a copy: the DaemonSet whose pod the copy replaces for a while.
DAEMONSET_ANNOTATION = "kubectl-selfhost/daemonset"


def cut(name: str, length: int) -> str:
    """Return the first ``length`` characters of an object's name, shortened to a valid name.

    Neither a name nor a part of a DNS name may end with a dash or a dot (RFC 1123).
    """
    return name[:length].rstrip("-.")


#: The EndpointSlice that keeps an address in the Service ``kubernetes`` while its API server changes
#: hands.
ADDRESS_SLICE = "kubernetes-kubectl-selfhost"


def guardian_pod(node: str) -> str:
    """Return the name of the guardian's mirror pod: the kubelet appends the node's name, in lower
    case.
    """
    return f"{GUARDIAN}-{node.lower()}"


#: On the objects with the control plane's credentials: whose they are. A label and, on a DaemonSet's
#: template, what its pods mounted from the node before they mounted these objects.
CREDENTIALS_LABEL = "kubectl-selfhost/credentials"
HOST_VOLUMES_ANNOTATION = "kubectl-selfhost/host-volumes"
#: On these objects: for each key the file on the node, its mode, owner and group.
FILES_ANNOTATION = "kubectl-selfhost/files"
#: The Secret with the key for what travels between a node agent and a run.
SEAL = "kubectl-selfhost-seal"

#: The objects that a probe creates, and deletes when it ends.
PROBE = "kubectl-selfhost-probe"
PROBE_LABELS = {
    "app.kubernetes.io/name": PROBE,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}

#: The short pods that print the versions of an upgrade's images.
QUESTION = "kubectl-selfhost-question"
QUESTION_LABELS = {
    "app.kubernetes.io/name": QUESTION,
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
}

#: Our directory on a node is beside the kubelet's staticPodPath, so that a run can rename a manifest
#: into it: a rename is atomic only inside one file system.
NODE_DIRECTORY = "kubectl-selfhost"

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
CONFIG_HASH_ANNOTATION = "kubernetes.io/config.hash"
ADVERTISE_ADDRESS_ANNOTATION = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"
#: kubeadm's own record of the cluster.
KUBEADM_CONFIG = "kubeadm-config"


def selector(labels: Mapping[str, str]) -> str:
    """Return the label selector of objects that have all these ``labels``."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
