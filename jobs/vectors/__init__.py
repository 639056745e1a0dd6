"""Texts become vectors, delivered to the parts that need them."""
