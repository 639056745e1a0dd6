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
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]
Floats = NDArray[np.float32]
Labels = Sequence[Collection[int]]

MISSING = -1


def bm25_rank(queries: Sequence[str], passages: Sequence[str], depth: int, exclude: Labels | None = None) -> Indices:
    """Rank passages by BM25 (Lucene's variant, k1 = 1.5, b = 0.75, English stop words).

    Args:
        queries: Q texts.
        passages: P texts.
        depth: ranks to return.
        exclude: for each query the passages that must not be ranked, such as its positives.

    Returns:
        (Q, depth), best first, equal scores by passage index. Only passages that share a word with
        the query are ranked.

    Raises:
        ValueError: if `depth` is below 1 or `exclude` has another length than `queries`.
    """
    import bm25s

    labels = _check(len(queries), depth, exclude)
    ranking = np.full((len(queries), depth), MISSING, dtype=np.int32)
    index = bm25s.BM25(backend="numpy", csc_backend="numpy", auto_compile=False)
    tokens = bm25s.tokenize(list(passages), return_ids=False, show_progress=False)
    if not any(tokens):
        return ranking
    index.index(tokens, show_progress=False)
    for row, words in enumerate(bm25s.tokenize(list(queries), return_ids=False, show_progress=False)):
        ids = index.get_tokens_ids(words)
        if ids:
            scores = index.get_scores_from_ids(ids)
            best = _best(_without(scores, labels[row]), depth, above=0.0)
            ranking[row, : len(best)] = best
    return ranking


def dense_rank(
    query_vectors: Floats,
    passage_vectors: Floats,
    depth: int,
    exclude: Labels | None = None,
    block: int = 512,
) -> tuple[Indices, Floats]:
    """Rank passages by inner product, exactly, in blocks of queries.

    Args:
        query_vectors: (Q, d) float32, L2-normalised for cosine similarity.
        passage_vectors: (P, d) float32.
        depth: ranks to return.
        exclude: for each query the passages that must not be ranked.
        block: queries at a time; a block takes 4 * block * P bytes.

    Returns:
        Indices (Q, depth) and similarities (Q, depth) float32, best first, equal similarities by
        passage index; a missing passage has similarity -inf.

    Raises:
        ValueError: if the dimensions differ, `depth` or `block` is below 1, or `exclude` has
            another length than the queries.
    """
    labels = _check(len(query_vectors), depth, exclude)
    if query_vectors.ndim != 2 or query_vectors.shape[1:] != passage_vectors.shape[1:]:
        raise ValueError(
            f"query vectors {query_vectors.shape} and passage vectors {passage_vectors.shape} "
            "must be two matrices with the same number of columns"
        )
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    ranking = np.full((len(query_vectors), depth), MISSING, dtype=np.int32)
    similarities = np.full(ranking.shape, -np.inf, dtype=np.float32)
    for start in range(0, len(query_vectors), block):
        scores = query_vectors[start : start + block] @ passage_vectors.T
        for row, row_scores in enumerate(scores, start):
            best = _best(_without(row_scores, labels[row]), depth, above=-np.inf)
            ranking[row, : len(best)] = best
            similarities[row, : len(best)] = row_scores[best]
    return ranking, similarities


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


def _best(scores: Floats, depth: int, above: float) -> NDArray[np.intp]:
    """Indices of the `depth` largest scores greater than `above`, ties by index."""
    if depth < len(scores):
        # argpartition picks among equals at the boundary as it likes: take all of them, then sort.
        boundary = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        candidates = np.flatnonzero((scores >= boundary) & (scores > above))
    else:
        candidates = np.flatnonzero(scores > above)
    order = np.argsort(-scores[candidates], kind="stable")
    best: NDArray[np.intp] = candidates[order[:depth]]
    return best


def _without(scores: Floats, labelled: Collection[int]) -> Floats:
    if labelled:
        scores = scores.copy()
        scores[list(labelled)] = -np.inf
    return scores


def _check(queries: int, depth: int, exclude: Labels | None) -> Labels:
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    if exclude is not None and len(exclude) != queries:
        raise ValueError(f"exclude has {len(exclude)} entries for {queries} queries")
    return exclude if exclude is not None else [()] * queries
