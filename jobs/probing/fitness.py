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


def largest(ranking: Sequence[SourceRow]) -> SourceRow | None:
    """Return the source of the most triples (of equal ones the first), None where there is none."""
    return max((row for row in ranking if row["kind"] == "source"), key=lambda row: row["n_examples"], default=None)


def unequal(ranking: Sequence[SourceRow]) -> dict[str, int]:
    """Return the sources and hybrids that ECI cannot compare with the largest source, each with its triples."""
    most = largest(ranking)
    return {
        row["source"]: row["n_examples"]
        for row in ranking
        if most is not None and row["kind"] != "mixture" and LEAST_PART * row["n_examples"] < most["n_examples"]
    }


OPEN = {"too few queries": "the queries are too few", "not comparable": "the two are not comparable"}
"""What `why_open` says, as the part of a sentence."""


def why_open(ranking: Sequence[SourceRow], *pair: str) -> str | None:
    """Return why no pair of these sources is decided by ECI, whatever its interval: `too few queries` or `not comparable`."""
    if any(row["source"] in pair and few(row) for row in ranking):
        return "too few queries"
    return "not comparable" if not unequal(ranking).keys().isdisjoint(pair) else None


def unfit(ranking: Sequence[SourceRow]) -> set[str]:
    """Return the sources and hybrids that no pair is decided of by ECI: too few, or too unequal to the others."""
    return {*unequal(ranking), *(row["source"] for row in ranking if few(row))}
