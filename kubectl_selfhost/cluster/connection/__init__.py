"""How a call reaches the API server, outlasts its absence, and fails."""
