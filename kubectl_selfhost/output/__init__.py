"""What a person reads: tables, plans, progress, reports. Data comes in; nothing is fetched."""
