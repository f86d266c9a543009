"""Values as Kubernetes writes them: addresses, durations, quantities, host names."""
