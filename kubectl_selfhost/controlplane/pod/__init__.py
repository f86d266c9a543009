"""The meaning of a pod: its flags, its status, its defaults, and the differences of two pods."""
