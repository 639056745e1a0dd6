"""Stopping early: whether the question is answered by the queries looked at so far.

A run looks at nested samples of the queries. At each look every source has its ECI and its delete-one-fold values. A pair
counts as ordered when its difference, corrected for the jackknife's bias (ECI of a small sample is off by O(1/N), and not
by the same for every source), is beyond what chance gives at a level that is shared out over all looks and all
comparisons (Bonferroni), so that over the whole run a wrong answer is given with a probability of at most 1 - P.
A pair whose difference is surely within the tolerance counts as a decided tie.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from eci_sql.information import jackknife_se
from eci_sql.moments import FloatArray

Question = Literal["top", "all"]


@dataclass(frozen=True)
class Look:
    """What one look says: whether the question is answered, the order of the sources, and the pairs that are open.

    `order` holds indices of sources, best first; `open_pairs` pairs of such indices, the better one first.
    """

    decided: bool
    order: tuple[int, ...]
    open_pairs: tuple[tuple[int, int], ...]


def corrected(eci: float, leave_out: FloatArray) -> float:
    """ECI less the jackknife's estimate of its bias: g theta - (g - 1) mean of the delete-one values (Quenouille, 1956).

    Args:
        eci: the full estimate.
        leave_out: (F,) float64 delete-one values, nan for folds without examples.
    """
    values = leave_out[~np.isnan(leave_out)]
    if len(values) < 2:
        return eci
    return float(len(values) * eci - (len(values) - 1) * values.mean())


def one_sided_level(question: Question, sources: int, looks: int, probability: float) -> float:
    """The level of each one-sided test: (1 - P) shared out over the looks, and over the ways to be wrong at one.

    For `top` a wrong leader must beat the true best one: sources - 1 tests. For `all` any pair may come out wrongly.
    """
    ways = sources - 1 if question == "top" else sources * (sources - 1) // 2
    return (1.0 - probability) / (looks * max(ways, 1))


def judge(
    eci: FloatArray, leave_out: FloatArray, question: Question, looks: int, probability: float, tolerance: float
) -> Look:
    """Judge one look.

    Args:
        eci: (S,) float64 estimates.
        leave_out: (S, F) float64 delete-one values, nan for folds without examples of a source.
        question: `top` (the leader against every other source) or `all` (every adjacent pair).
        looks: how many looks the run may take at the most.
        probability: P, such as 0.95.
        tolerance: share of the leader's ECI within which a difference is a tie.
    """
    values = np.array([corrected(e, out) for e, out in zip(eci, leave_out, strict=True)])
    order = tuple(int(i) for i in np.argsort(-values, kind="stable"))
    level = one_sided_level(question, len(eci), looks, probability)
    pairs = (
        [(order[0], other) for other in order[1:]] if question == "top" else list(zip(order, order[1:], strict=False))
    )
    bound = tolerance * max(values[order[0]], 0.0)
    still_open = tuple(
        (a, b)
        for a, b in pairs
        if not _settled(values[a] - values[b], *_error(eci, leave_out, a, b), level=level, bound=bound)
    )
    return Look(not still_open, order, still_open)


def _error(eci: FloatArray, leave_out: FloatArray, a: int, b: int) -> tuple[float, int]:
    """Standard error of a pair's difference and its number of folds; as `paired_difference`."""
    one, other = leave_out[a], leave_out[b]
    counted = ~(np.isnan(one) & np.isnan(other))
    one, other = np.where(np.isnan(one), eci[a], one), np.where(np.isnan(other), eci[b], other)
    return jackknife_se((one - other)[counted]), int(np.count_nonzero(counted))


def _settled(difference: float, se: float, folds: int, level: float, bound: float) -> bool:
    if folds < 2 or np.isnan(se):
        return False
    half = -float(stdtrit(folds - 1, level)) * se
    return difference > half or difference + half < bound
