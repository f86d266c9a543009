"""The hand-over of a component from one instance to the next, and when the old instance may go."""
