"""Rows become triples in parts, and distinct texts in buckets."""
