"""The control plane's credentials go from files on the nodes into Secrets, or back."""
