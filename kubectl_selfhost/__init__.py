"""Self-host a kubeadm control plane, and look after it from then on."""
