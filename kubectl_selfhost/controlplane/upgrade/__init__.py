"""An upgrade's rules: versions, who may run beside whom, and what stands in the way."""
