"""What is done to a control plane, in which order: a folder a verb."""
