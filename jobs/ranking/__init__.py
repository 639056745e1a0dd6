"""Moments become the ranking, its pairs, the best mixture; rejects are gathered."""
