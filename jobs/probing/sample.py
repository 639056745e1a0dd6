"""The sample that a probe trains and measures on: some queries, what their triples say, and a pool of passages.

The queries are those of lowest sample position, so that the sample nests and is the same from night to night. It is
divided in two halves several times (*halvings*), in queries and in documents at once: with documents in both halves an
adapter would be rewarded for having seen them. A document's half is a bit of its id, a query's that of its first
positive (the smallest id); what a query has in the other half is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jobs.ids import first_of_run, lookup, unique, unique_inverse, words

LEAST_QUERIES = 100
"""Queries that each half must have to be trained on and judged by."""
MOST_QUERIES = 20_000
"""Queries that a run that decides by the probe tries out at most: what they do not decide, a look at more does not."""
CAPS = (32, 16, 8, 4, 2, 1)
"""Most negatives of a query, positive and source that are kept: the first of these that fits."""
MOST_BYTES = 256 << 20
LEAST_TEXTS = 16_384
"""Vectors (float32) that a sample may hold: so many bytes, but so many texts in any case."""
AROUND = 4
"""Queries that the pool is drawn from, in multiples of those of the sample."""

Ids = NDArray[np.bytes_]
Codes = NDArray[np.int64]


class Rows(NamedTuple):
    """Triples: ids of query, positive and negative, S16 (n,) each, and the number of the source, int64 (n,)."""

    query: Ids
    positive: Ids
    negative: Ids
    source: Codes

    def take(self, at: Codes | NDArray[np.bool_]) -> Rows:
        """Return some of the rows."""
        return Rows(self.query[at], self.positive[at], self.negative[at], self.source[at])

    @classmethod
    def joined(cls, those: Sequence[Rows]) -> Rows:
        """Return rows one after the other."""
        ids = [np.concatenate([np.empty(0, "S16"), *(rows[k] for rows in those)]) for k in range(3)]
        sources = np.concatenate([np.empty(0, np.int64), *(rows.source for rows in those)])
        return cls(ids[0], ids[1], ids[2], sources)


class Sample(NamedTuple):
    """What a probe works on.

    Attributes:
        queries: ids S16 (Q,), ascending.  passages: ids S16 (P,), ascending.
        pool: bool (P,), those that are ranked: every positive, and what recurs (`recurring`).
        labels: int64 (m, 2), distinct (query, positive), as places in the two.
        triples: int64 (n, 4), (source, query, positive, negative), as numbers and places.
    """

    queries: Ids
    passages: Ids
    pool: NDArray[np.bool_]
    labels: Codes
    triples: Codes

    def covered(self, sources: int) -> list[int]:
        """Return the number of queries that each of so many sources has negatives for."""
        pairs = np.unique(self.triples[:, :2], axis=0)
        counts: list[int] = np.bincount(pairs[:, 0], minlength=sources).tolist()
        return counts


def most_texts(dim: int) -> int:
    """Return the passages that a sample may hold."""
    return max(LEAST_TEXTS, MOST_BYTES // (4 * dim))


def lowest(queries: Ids, count: int) -> Ids:
    """Return the `count` distinct queries of lowest sample position, ascending by id."""
    distinct = unique(queries)
    pair = words(distinct)
    first = np.lexsort((pair[:, 0], pair[:, 1]))[:count]
    return distinct[np.sort(first)]


def draw(rows: Rows, count: int, pool: int, most: int) -> Sample:
    """Return the sample of `count` queries.

    Args:
        rows: triples of the queries of lowest position: of these `count`, and of AROUND times as many for the pool.
        pool: passages to rank, at most; if the positives alone are more, they are the pool.
        most: passages that the sample may hold. Where it would be more, each query keeps fewer negatives of a
            source, and in the end there are fewer queries.
    """
    pool = min(pool, most // 2)
    around = unique(np.concatenate([rows.positive, recurring(rows)]))
    while True:
        queries = lowest(rows.query, count)
        mine = rows.take(lookup(queries, rows.query) >= 0)
        mine = mine.take(_by_query(mine))
        place = _place_in_group(mine)
        positives = unique(mine.positive)
        others = around[lookup(positives, around) < 0]
        ranked = unique(np.concatenate([positives, others[: max(0, pool - len(positives))]]))
        for cap in CAPS:
            kept = mine.take(place < cap)
            passages = unique(np.concatenate([ranked, kept.negative]))
            if len(passages) <= most:
                return _sample(queries, passages, ranked, mine, kept)
        if len(queries) <= LEAST_QUERIES:
            return _sample(queries, passages, ranked, mine, kept)
        count = len(queries) // 2


def recurring(rows: Rows) -> Ids:
    """Return the negatives that stand beside queries of two different first positives at least, ascending.

    These are passages of the corpus. One that stands beside a single query, or beside queries of the same positive, may
    have been written for it (by a model, or as a piece of the positive), and a source would be judged by how well it
    knows its own inventions.
    """
    queries, at = unique_inverse(rows.query)
    positives, code = unique_inverse(rows.positive)
    first = np.full(len(queries), len(positives), dtype=np.int64)
    np.minimum.at(first, at, code)
    negatives, place = unique_inverse(rows.negative)
    least, most = np.full(len(negatives), len(positives), dtype=np.int64), np.full(len(negatives), -1, dtype=np.int64)
    np.minimum.at(least, place, first[at])
    np.maximum.at(most, place, first[at])
    return negatives[least < most]


def _by_query(rows: Rows) -> Codes:
    """Return an order by source, query and positive, and within these one that chance would give, the same each time."""
    mixed = words(rows.negative) ^ words(rows.query)[:, ::-1]
    keys = [*(words(ids)[:, k] for ids in (rows.positive, rows.query) for k in (1, 0))]
    order: Codes = np.lexsort((mixed[:, 1], mixed[:, 0], *keys, rows.source))
    return order


def _place_in_group(rows: Rows) -> Codes:
    """Return each row's place among those of the same source, query and positive; rows are in the order of `_by_query`."""
    if not len(rows.source):
        return np.empty(0, dtype=np.int64)
    first = first_of_run(rows.query) | first_of_run(rows.positive) | first_of_run(rows.source)
    starts = np.flatnonzero(first)
    sizes = np.diff([*starts, len(first)])
    places: Codes = np.arange(len(first)) - np.repeat(starts, sizes)
    return places


def _sample(queries: Ids, passages: Ids, ranked: Ids, mine: Rows, kept: Rows) -> Sample:
    pairs = np.stack([lookup(queries, mine.query), lookup(passages, mine.positive)], axis=1)
    columns = (
        kept.source,
        lookup(queries, kept.query),
        lookup(passages, kept.positive),
        lookup(passages, kept.negative),
    )
    pool = lookup(ranked, passages) >= 0
    return Sample(queries, passages, pool, np.unique(pairs, axis=0), np.stack(columns, axis=1))


def half_of_passages(passages: Ids, halving: int) -> NDArray[np.int64]:
    """Return the half, 0 or 1, of each passage in a halving (0 to 63): a bit of its id."""
    return ((words(passages)[:, 1] >> np.uint64(halving)) & np.uint64(1)).astype(np.int64)


def half_of_queries(sample: Sample, halves: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the half of each query: that of its first positive. `halves`: those of the passages."""
    first = np.full(len(sample.queries), len(sample.passages), dtype=np.int64)
    np.minimum.at(first, sample.labels[:, 0], sample.labels[:, 1])
    return halves[first]


def too_few(sample: Sample, halvings: int) -> str | None:
    """Return why there can be no probe, in a sentence, or None: each half needs LEAST_QUERIES queries."""
    for halving in range(halvings):
        halves = half_of_queries(sample, half_of_passages(sample.passages, halving))
        least = min(int((halves == half).sum()) for half in (0, 1))
        if least < LEAST_QUERIES:
            return (
                f"No probe: {len(sample.queries):,} queries are there to train on and to judge by, "
                f"{least:,} in the smaller half; each half needs {LEAST_QUERIES}."
            )
    return None
