"""Certificates on the nodes: looked at, renewed by the node's own kubeadm, and rolled out."""
