"""Every version from which the bed is made; a change here makes a new node image."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A Kubernetes version that the bed can build, with the etcd and the CoreDNS of its kubeadm.

    kubeadm's own constants (cmd/kubeadm/app/constants/constants.go) name both. For etcd they name
    an image tag (``3.7.0-0``); the program in the image may be a later patch version.
    """

    kubernetes: str
    etcd: str
    coredns: str

    @property
    def minor(self) -> int:
        """Return the minor version, such as 37."""
        return int(self.kubernetes.split(".")[1])


DEFAULT = Release("v1.37.2", etcd="v3.7.3", coredns="v1.14.6")
RELEASES = (
    Release("v1.33.13", etcd="v3.5.24", coredns="v1.12.0"),
    Release("v1.34.4", etcd="v3.6.5", coredns="v1.12.1"),
    Release("v1.35.5", etcd="v3.6.6", coredns="v1.13.1"),
    Release("v1.36.4", etcd="v3.6.8", coredns="v1.14.2"),
    DEFAULT,
    Release("v1.38.0-alpha.0", etcd="v3.7.3", coredns="v1.14.6"),
)

KUBERNETES = DEFAULT.kubernetes
# The next patch release, for upgrades: the same sources, which only say so.
NEXT_KUBERNETES = "v1.37.3"
KIND = "v0.33.0"
GO = "go1.27.3"  # builds all of these; an older Go on the machine fetches it as a module
CONTAINERD = "v2.4.2"  # the kubelet wants containerd 2 from 1.36 on
KREW = "v0.5.0"
DEBIAN = "bookworm"  # its systemd, 252, still runs on cgroup v1; 258 no longer does

PUBLISHED_NODE_IMAGE = "kindest/node:v1.37.0"  # kind 0.33's default
LOAD_BALANCER_IMAGE = (
    "docker.io/envoyproxy/envoy:v1.36.2"  # what kind 0.33 runs before several nodes
)
