"""The roll-out: its plan and its steps."""
