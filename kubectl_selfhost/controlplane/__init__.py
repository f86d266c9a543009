"""What a control plane is: pure functions and data, no I/O."""
