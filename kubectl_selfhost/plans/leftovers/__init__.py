"""What an interrupted run left, and the plan that settles it."""
