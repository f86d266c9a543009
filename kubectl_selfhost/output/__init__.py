"""What a person reads: tables, plans, progress, reports. Fed by data; fetches nothing."""
