"""What an upgrade looks at before its plan: versions, the target's own answers, the cluster's users."""
