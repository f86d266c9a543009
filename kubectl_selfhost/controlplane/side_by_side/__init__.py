"""Whether two instances may run side by side, and how long one takes over."""
