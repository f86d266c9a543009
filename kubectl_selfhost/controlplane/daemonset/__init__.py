"""The form of a component's DaemonSet."""
