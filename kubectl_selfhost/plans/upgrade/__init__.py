"""The upgrade to another Kubernetes version: what is looked at before, its plan and its steps."""
