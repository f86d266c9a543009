"""The checks and steps of each verb, in their order: a folder a verb."""
