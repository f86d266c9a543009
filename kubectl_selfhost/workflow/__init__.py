"""What is done to a control plane: plans, their steps, and the journal of what was done."""
