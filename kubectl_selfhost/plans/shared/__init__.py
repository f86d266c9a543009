"""What the plans of several verbs share."""
