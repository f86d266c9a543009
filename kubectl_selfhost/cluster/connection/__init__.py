"""How a call reaches the API server, outlasts an outage, and fails."""
