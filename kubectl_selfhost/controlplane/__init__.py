"""The rules of a control plane: pure functions and data, no I/O."""
