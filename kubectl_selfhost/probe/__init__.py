"""What clients of the API see, from the requests to the report."""
