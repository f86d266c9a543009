"""The only room that puts something on a node."""
