"""A file a verb: the flags that a person types."""
