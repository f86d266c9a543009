"""The node agent, its pod and its orders. Only this room writes to nodes."""
