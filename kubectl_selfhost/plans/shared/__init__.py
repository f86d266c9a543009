"""What the plans of several verbs need."""
