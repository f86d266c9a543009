"""Values in Kubernetes' notation: addresses, durations, quantities, host names."""
