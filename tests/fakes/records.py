"""What kubeadm leaves in a cluster beside the control plane's static pods: its records and kube-proxy."""

from __future__ import annotations

from fakes.world import World

NAMESPACE = "kube-system"
CONFIGURATION = """\
apiServer: {}
apiVersion: kubeadm.k8s.io/v1beta4
certificatesDir: /etc/kubernetes/pki
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
networking:
  dnsDomain: cluster.local  # as it was made
"""


def add(world: World) -> World:
    """Add kubeadm-config and kube-proxy; return the world."""
    world.store.create(
        "configmaps",
        {
            "metadata": {"name": "kubeadm-config", "namespace": NAMESPACE},
            "data": {"ClusterConfiguration": CONFIGURATION},
        },
    )
    labels = {"k8s-app": "kube-proxy"}
    container = {"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:v1.37.2"}
    world.store.create(
        "daemonsets",
        {
            "metadata": {"name": "kube-proxy", "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [container], "hostNetwork": True},
                },
            },
        },
    )
    world.pass_time(30)
    world.changed.clear()
    return world
