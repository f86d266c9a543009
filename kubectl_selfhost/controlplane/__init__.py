"""The rules of a control plane: pure functions and data, without I/O."""
