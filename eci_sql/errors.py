"""The exceptions of the metric: one tree, one clear line each."""


class MetricError(Exception):
    """A score that cannot be computed exactly or at all; the message says which value and why."""
