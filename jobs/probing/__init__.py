"""A linear adapter trained for a short while with each source's negatives: what a source does to held-out queries."""
