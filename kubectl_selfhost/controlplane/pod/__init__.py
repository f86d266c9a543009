"""What a pod says, and whether two pods mean the same."""
