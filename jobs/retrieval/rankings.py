"""Rankings of passages for queries: BM25 and dense, without the judged ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from jobs.unspaced import cut_runs, unspaced

Indices = NDArray[np.int32]

Floats = NDArray[np.float32]

Labels = Sequence[Collection[int]]

MISSING = -1


def bm25_rank(queries: Sequence[str], passages: Sequence[str], depth: int, exclude: Labels | None = None) -> Indices:
    """Rank passages by BM25 (Lucene's variant, k1 = 1.5, b = 0.75, English stop words, bigrams for scripts without spaces).

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
    tokens = _tokens(passages)
    if not any(tokens):
        return ranking
    index.index(tokens, show_progress=False)
    for row, words in enumerate(_tokens(queries)):
        ids = index.get_tokens_ids(words)
        if ids:
            scores = index.get_scores_from_ids(ids)
            best = _best(_without(scores, labels[row]), depth, above=0.0)
            ranking[row, : len(best)] = best
    return ranking


def _tokens(texts: Sequence[str]) -> list[list[str]]:
    """Return the words of each text that BM25 counts, and behind them the bigrams of scripts without spaces."""
    import bm25s

    series = pl.Series(texts, dtype=pl.String)
    cut = unspaced(series)
    rest, bigrams = cut_runs(series.filter(pl.Series(cut)))
    plain = series.scatter(np.flatnonzero(cut), rest).to_list()
    words: list[list[str]] = bm25s.tokenize(plain, return_ids=False, show_progress=False)
    for row, more in zip(np.flatnonzero(cut).tolist(), bigrams.to_list(), strict=True):
        words[row] = [*words[row], *more]
    return words


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
