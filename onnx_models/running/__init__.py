"""Texts become vectors: tokens, sessions, golden vectors, likeness of two encoders."""
