"""Every version that the bed is made of; a change here makes a new node image."""

from __future__ import annotations

KUBERNETES = "v1.37.2"
# The next patch release, for upgrades: the same sources, which only say so.
NEXT_KUBERNETES = "v1.37.3"
KIND = "v0.33.0"
GO = "go1.27.3"  # what Kubernetes 1.37 asks for; an older Go on the machine fetches it as a module
CONTAINERD = "v2.4.2"  # the kubelet wants containerd 2 from 1.36 on
COREDNS = "v1.14.6"  # the one kubeadm 1.37 names
ETCD = "v3.7.3"
KREW = "v0.5.0"
DEBIAN = "bookworm"  # its systemd, 252, still runs on cgroup v1; 258 no longer does

PUBLISHED_NODE_IMAGE = "kindest/node:v1.37.0"  # kind 0.33's default
LOAD_BALANCER_IMAGE = (
    "docker.io/envoyproxy/envoy:v1.36.2"  # what kind 0.33 runs before several nodes
)
