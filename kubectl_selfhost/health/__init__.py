"""The state of a control plane as `status` sees it, and the verdict whether it is healthy."""
