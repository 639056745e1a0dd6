"""Which sources ECI cannot compare: those of too few queries for an interval, and those much smaller than the largest."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.output.records import SourceRow

LEAST_QUERIES = 30
"""Queries below which the jackknife's 95 % interval holds its mean in 85 to 88 % of simulated samples; from 30 on in 92 to 94."""
LEAST_FOLDS = 3
"""Folds with examples below which Student's t has no more than one degree of freedom."""
LEAST_PART = 3
"""A source with less than a third of the largest one's triples isn't compared: the log-determinant of a small sample is too low."""


def few(row: SourceRow) -> bool:
    """Return whether a source or hybrid has too few queries or folds for its interval to be one."""
    return row["kind"] != "mixture" and (
        row["n_queries"] < LEAST_QUERIES or row["folds_done"] < min(LEAST_FOLDS, row["folds"])
    )


def unequal(ranking: Sequence[SourceRow]) -> dict[str, str]:
    """Return the sources and hybrids that ECI cannot compare with the largest source, each with `n of N triples`."""
    largest = max((row["n_examples"] for row in ranking if row["kind"] == "source"), default=0)
    return {
        row["source"]: f"{row['n_examples']:,} of {largest:,} triples"
        for row in ranking
        if row["kind"] != "mixture" and LEAST_PART * row["n_examples"] < largest
    }


def unfit(ranking: Sequence[SourceRow]) -> set[str]:
    """Return the sources and hybrids that no pair is decided of by ECI: too few, or too unequal to the others."""
    return {*unequal(ranking), *(row["source"] for row in ranking if few(row))}
