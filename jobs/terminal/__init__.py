"""What a terminal shows: progress, tables, numbers in words."""
