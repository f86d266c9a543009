"""Whether two instances may run side by side, and how long a switch takes."""
