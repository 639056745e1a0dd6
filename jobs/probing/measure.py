"""One source in one halving: an adapter trained on each half, and what it ranks for the queries of the other half.

Training: the pairs (query, positive) of one half, with the source's negatives that lie in it. Judging: every query of
the other half, also those that the source has nothing for, over the passages of the pool in that half. So no document
and no query is on both sides, and all sources are judged on the same queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.ids import words
from jobs.probing.adapter import Examples, adapted, train
from jobs.probing.looks import looks_of
from jobs.probing.sample import Sample, half_of_passages, half_of_queries

BLOCK = 128

Floats = NDArray[np.float32]
Metrics = NDArray[np.float64]
Codes = NDArray[np.int64]


class Vectors(NamedTuple):
    """Unit vectors float32 of a sample's queries (Q, d) and passages (P, d)."""

    queries: Floats
    passages: Floats


class Budget(NamedTuple):
    """How long a probe trains and what it looks at: Adam's learning rate, steps, and the cutoff of the metrics."""

    rate: float
    steps: int
    cutoff: int
    temperature: float

    @property
    def looks(self) -> tuple[int, ...]:
        """The steps after which nDCG is measured, ascending."""
        return looks_of(self.steps)


def measure(sample: Sample, vectors: Vectors, triples: Codes, halving: int, budget: Budget) -> tuple[Metrics, int]:
    """Return nDCG and reciprocal rank at the cutoff, (looks, 2, Q), and the queries that the source has negatives for.

    Args:
        triples: (n, 4) of the source, or the hybrid, as in Sample; none: the frozen encoder, the same at each look.
    """
    halves = half_of_passages(sample.passages, halving)
    sides = half_of_queries(sample, halves)
    found = np.zeros((len(budget.looks), 2, len(sample.queries)))
    # the last bits of a product follow the number of BLAS threads
    with threadpool_limits(1, "blas"):
        for half in (0, 1):
            judge = _Judge(sample, vectors, halves, sides, 1 - half, budget.cutoff)
            if not len(triples):
                found[:, :, judge.queries] = judge.metrics(vectors.queries[judge.queries])
                continue
            examples = _examples(vectors, _in_half(triples, halves, sides, half))
            seed = 2 * halving + half
            trained = train(examples, budget.temperature, budget.rate, budget.looks, in_batch=False, seed=seed)
            for look, weights in enumerate(trained):
                found[look][:, judge.queries] = judge.metrics(adapted(vectors.queries[judge.queries], weights))
    return found, len(np.unique(triples[:, 1]))


def _in_half(triples: Codes, halves: Codes, sides: Codes, half: int) -> Codes:
    """Return the triples whose query, positive and negative are all in one half."""
    inside: Codes = triples[(sides[triples[:, 1]] == half) & (halves[triples[:, 2:]] == half).all(axis=1)]
    return inside


def _examples(vectors: Vectors, triples: Codes) -> Examples:
    """Return one example for each (query, positive), with its negatives side by side."""
    pairs, owner, sizes = np.unique(triples[:, 1:3], axis=0, return_inverse=True, return_counts=True)
    owner = owner.reshape(-1)
    order = np.argsort(owner, kind="stable")
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    negatives = np.full((len(pairs), int(sizes.max(initial=1))), -1, dtype=np.int64)
    negatives[owner[order], place] = triples[order, 3]
    nothing = np.empty((0, 0), dtype=np.int64)
    return Examples(vectors.queries, vectors.passages, pairs[:, 0], pairs[:, 1], negatives, nothing)


class _Judge:
    """Ranks the pool of one half for the queries of that half."""

    def __init__(self, sample: Sample, vectors: Vectors, halves: Codes, sides: Codes, half: int, cutoff: int) -> None:
        ranked = np.flatnonzero(sample.pool & (halves == half))
        self.queries = np.flatnonzero(sides == half)
        self._passages = vectors.passages[ranked]
        self._cutoff = cutoff
        labels = sample.labels[(sides[sample.labels[:, 0]] == half) & (halves[sample.labels[:, 1]] == half)]
        self._query = np.searchsorted(self.queries, labels[:, 0])
        self._positive = np.searchsorted(ranked, labels[:, 1])
        counts = np.bincount(self._query, minlength=len(self.queries))
        gains = np.concatenate([[0.0], np.cumsum(self._discount(np.arange(1, cutoff + 1)))])
        self._ideal = gains[np.minimum(counts, cutoff)]

    def _discount(self, rank: NDArray[np.int64]) -> Metrics:
        return np.where(rank <= self._cutoff, 1.0 / np.log2(rank + 1.0), 0.0)

    def metrics(self, queries: Floats) -> Metrics:
        """Return nDCG and reciprocal rank, (2, n), of query vectors (n, d). A passage that ties with a positive is before it."""
        rank = np.empty(len(self._query), dtype=np.int64)
        for start in range(0, len(queries), BLOCK):
            scores = queries[start : start + BLOCK] @ self._passages.T
            mine = slice(*np.searchsorted(self._query, [start, start + BLOCK]).tolist())
            rank[mine] = _ranks(scores, self._query[mine] - start, self._positive[mine])
        gain = np.bincount(self._query, self._discount(rank), len(queries))
        first = np.where(rank <= self._cutoff, 1.0 / rank, 0.0)
        reciprocal = np.zeros(len(queries))
        np.maximum.at(reciprocal, self._query, first)
        return np.stack([gain / self._ideal, reciprocal])


def _ranks(scores: Floats, row: Codes, column: Codes) -> NDArray[np.int64]:
    """Return the rank of each (row, column), from 1; `row` ascends."""
    rank = np.empty(len(row), dtype=np.int64)
    own = scores[row, column]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    for k in range(int(place.max(initial=-1)) + 1):
        at = np.flatnonzero(place == k)
        those = scores if len(at) == len(scores) else scores[row[at]]
        rank[at] = np.count_nonzero(those >= own[at, None], axis=1)
    return rank


def dealt(triples: Codes, parts: Sequence[int], queries: NDArray[np.bytes_]) -> Codes:
    """Return the triples of a hybrid: the places of each (query, positive) are dealt out to its parts in turn.

    There are as many places as the part with most negatives there has; which part is first depends on the query's id.
    What two parts both bring is one triple.

    Args:
        triples: (n, 4) of all sources, as in Sample.  parts: numbers of sources.  queries: ids of the sample's queries.
    """
    order = np.lexsort((*(triples[:, k] for k in (0, 2, 1)),))
    mine = triples[order[np.isin(triples[order, 0], parts)]]
    if not len(mine):
        return mine
    # place within (query, positive, source), then the parts by turns
    same = np.any(mine[1:, :3] != mine[:-1, :3], axis=1)
    starts = np.flatnonzero(np.concatenate([[True], same]))
    sizes = np.diff([*starts, len(mine)])
    place = np.arange(len(mine)) - np.repeat(starts, sizes)
    part = np.searchsorted(np.sort(parts), mine[:, 0])
    begin = (words(queries)[mine[:, 1], 0] % np.uint64(len(parts))).astype(np.int64)
    turn = (part - begin) % len(parts)
    pair = np.unique(mine[:, 1:3], axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((turn, place, pair))
    mine, pair = mine[order], pair[order]
    places = np.zeros(int(pair.max()) + 1, dtype=np.int64)
    np.maximum.at(places, pair, place[order] + 1)
    _, first = np.unique(mine[:, 1:], axis=0, return_index=True)
    once = np.zeros(len(mine), dtype=bool)
    once[first] = True
    mine, pair = mine[once], pair[once]
    index = np.arange(len(mine)) - np.searchsorted(pair, pair)
    return mine[index < places[pair]]
