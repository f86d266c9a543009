"""When a component goes from one instance to the next, and when the old one may go."""
