"""Retrieval metrics of a ranking's first ten, nDCG and reciprocal rank; and how alike two rankings are.

nDCG is that of trec_eval (and so of BEIR): the gain is the grade, the discount log2(rank + 1), the ideal ranking that
of all judged documents. Reciprocal rank counts any grade above 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

CUTOFF = 10

Floats = NDArray[np.float64]


def gains_of(ranking: NDArray[np.integer], relevant: Sequence[Mapping[int, float]]) -> Floats:
    """Return the grade of each ranked document: (Q, D) float64, 0 where it is not judged.

    Args:
        ranking: (Q, D) document indices, best first, -1 for none.
        relevant: for each query the grades by document index.
    """
    return np.array(
        [[grades.get(d, 0.0) for d in row] for grades, row in zip(relevant, ranking.tolist(), strict=True)]
    ).reshape(ranking.shape)


def ndcg(gains: Floats, relevant: Sequence[Mapping[int, float]]) -> Floats:
    """Return nDCG@10 of each query: (Q,) float64 in [0, 1], 0 where nothing is relevant.

    After Jaervelin and Kekaelaeinen (2002).

    Args:
        gains: (Q, D) from `gains_of`, D at least 10 or all documents.
        relevant: the grades of every relevant document of each query.
    """
    discounts = 1.0 / np.log2(np.arange(2, CUTOFF + 2))
    ideal = np.zeros((len(gains), CUTOFF))
    for row, grades in enumerate(relevant):
        best = sorted(grades.values(), reverse=True)[:CUTOFF]
        ideal[row, : len(best)] = best
    top = gains[:, :CUTOFF]
    found, most = top @ discounts[: top.shape[1]], ideal @ discounts
    return np.divide(found, most, out=np.zeros_like(found), where=most > 0)


def reciprocal_rank(gains: Floats) -> Floats:
    """Return 1 over the rank of the first relevant document among the first ten, else 0: (Q,) float64."""
    hits = gains[:, :CUTOFF] > 0
    if not hits.shape[1]:
        return np.zeros(len(gains))
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Kendall's tau-b of two sequences, None where it is not defined: fewer than two, or all equal in one."""
    if min(len(set(a)), len(set(b))) < 2:
        return None
    return float(scipy.stats.kendalltau(a, b).statistic)
