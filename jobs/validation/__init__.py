"""Does the ranking predict what training gives? `eci validate`."""
