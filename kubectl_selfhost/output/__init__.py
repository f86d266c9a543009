"""What a person reads: tables, plans, progress, reports. This room gets data, and fetches nothing."""
