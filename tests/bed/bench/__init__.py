"""``make bench``: how fast the plugin starts, how long a pivot takes, what clients see of each way."""
