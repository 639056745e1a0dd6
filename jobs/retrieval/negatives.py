"""Mining negatives: rankings of passages for queries, and the sources that draw from them.

Covers: exact BM25 and dense rankings, and draws at random, from a band of ranks, from the same
group, or from below the positive's similarity. Pure functions of their arguments: every draw comes
from a hash of the query's text and a seed, whatever the order and the number of queries.

Does not cover: approximate search, embedding, and passages too many for one block of similarities.

Q is the number of queries, P of passages, D the depth of a ranking, k the negatives asked for.
Indices are int32 and -1 stands for "no passage": rankings and draws are padded with it at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from jobs.retrieval.rankings import MISSING, Floats, Indices, Labels


def random_negatives(queries: Sequence[str], passages: int, exclude: Labels, *, seed: int = 0, k: int = 1) -> Indices:
    """Return (Q, k) distinct passages of `range(passages)`, each as likely, none labelled."""
    draws = (shuffled(passages, query, seed) for query in queries)
    return _collect(draws, exclude, k)


def band_negatives(
    queries: Sequence[str],
    ranking: Indices,
    lo: int,
    hi: int,
    exclude: Labels,
    *,
    seed: int = 0,
    k: int = 1,
) -> Indices:
    """Return (Q, k) passages drawn from the ranks `lo` to `hi`, both included, of a ranking.

    Ranks count from 1 over the passages that are left when the labelled ones are taken out, so
    `lo = hi = 1` is the best negative.

    Raises:
        ValueError: if the band is empty or reaches below the ranking's depth.
    """
    if not 1 <= lo <= hi <= ranking.shape[1]:
        raise ValueError(f"band {lo}-{hi} is not within the ranks 1-{ranking.shape[1]}")

    def band(row: int, query: str) -> Iterator[int]:
        ranked = [int(i) for i in ranking[row] if i != MISSING and i not in exclude[row]]
        return _pick(ranked[lo - 1 : hi], query, seed)

    return _collect((band(row, query) for row, query in enumerate(queries)), exclude, k)


def positive_aware_negatives(
    ranking: Indices,
    similarities: Floats,
    positive_similarity: Floats,
    exclude: Labels,
    *,
    share: float = 0.95,
    k: int = 1,
) -> Indices:
    """Return the (Q, k) best ranked passages with similarity below `share` of the positive's.

    Args:
        ranking: (Q, D), best first.
        similarities: (Q, D) float32, of the ranked passages.
        positive_similarity: (Q,) float32; the largest where a query has several positives.
        exclude: the labelled positives of each query.
        share: the threshold's share of the positive's similarity (arXiv 2407.15831, TopK-PercPos).
        k: negatives for each query.
    """
    # A share of a negative similarity would lie above it and let passages past the positive.
    threshold = np.minimum(share * positive_similarity, positive_similarity)
    below = similarities < threshold[:, None]
    rows = (ranking[row][below[row]].tolist() for row in range(len(ranking)))
    return _collect(rows, exclude, k)


def group_negatives(
    queries: Sequence[str],
    query_groups: Sequence[str],
    passage_groups: Sequence[str],
    exclude: Labels,
    *,
    seed: int = 0,
    k: int = 1,
) -> Indices:
    """Return (Q, k) passages drawn from the group (module, document, topic) of the query."""
    members: dict[str, list[int]] = {}
    for passage, group in enumerate(passage_groups):
        members.setdefault(group, []).append(passage)
    draws = (_pick(members.get(group, []), query, seed) for query, group in zip(queries, query_groups, strict=True))
    return _collect(draws, exclude, k)


def shuffled(size: int, key: str, seed: int) -> Iterator[int]:
    """Yield `range(size)` in an order that is a function of `key` and `seed` alone.

    A Fisher-Yates shuffle that keeps only the places it has touched: n draws cost n steps, whatever
    the size. SHA-256 stands in for a generator, whose stream NumPy may change between versions.
    """
    moved: dict[int, int] = {}
    for place in range(size):
        digest = hashlib.sha256(f"{seed}\0{place}\0{key}".encode()).digest()
        other = place + int.from_bytes(digest[:8], "big") % (size - place)
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)


def _pick(candidates: Sequence[int], key: str, seed: int) -> Iterator[int]:
    return (candidates[place] for place in shuffled(len(candidates), key, seed))


def _collect(draws: Iterable[Iterable[int]], exclude: Labels, k: int) -> Indices:
    """Keep of each query's draws the first k that are passages and not labelled positives."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    negatives = np.full((len(exclude), k), MISSING, dtype=np.int32)
    for row, (drawn, labelled) in enumerate(zip(draws, exclude, strict=True)):
        kept = list(islice((i for i in drawn if i != MISSING and i not in labelled), k))
        negatives[row, : len(kept)] = kept
    return negatives
