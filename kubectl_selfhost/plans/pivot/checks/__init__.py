"""What is found out before a pivot changes anything: a file a subject."""
