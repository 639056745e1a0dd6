"""A committed run read back: rows, sums, scores, spools of vectors and texts, its ranking in words."""
