"""The flags of each verb, a file for each verb."""
