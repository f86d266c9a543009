"""Self-host a kubeadm control plane, and change it without losing requests."""
