"""What `status` sees of a control plane, and what it calls healthy."""
