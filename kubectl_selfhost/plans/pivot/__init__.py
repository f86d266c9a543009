"""The pivot: its checks, its plan and its steps."""
