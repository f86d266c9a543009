"""What a DaemonSet of a component looks like."""
