"""The revert: its plan and its steps."""
