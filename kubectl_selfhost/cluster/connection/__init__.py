"""The way of a call to the API server: connection, login, patience, and errors."""
