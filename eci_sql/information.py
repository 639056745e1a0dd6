"""The score of a source: log-determinant information, jackknife, differences, ranks.

Covers: everything of `eci-sem/1` that starts from summed matrices.
Does not cover: how they are summed (moments.py), the score without each fold (leave_out.py), hybrids and the best
mixture (mixtures.py).

Cholesky and eigenvalues change in their last bits with the number of BLAS threads: callers who
publish results pin it (threadpoolctl).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eci_sql.errors import MetricError
from eci_sql.moments import FloatArray


@dataclass(frozen=True)
class Score:
    """Information and misinformation in nats per dimension, purity in [0, 1], eci their product."""

    information: float
    misinformation: float
    purity: float
    eci: float

    @classmethod
    def of(cls, information: float, misinformation: float) -> "Score":
        """Purity is 1 without misinformation and 0 without information, both 0 included."""
        purity = information / (information + misinformation) if information > 0.0 else 0.0
        return cls(information, misinformation, purity, information * purity)


@dataclass(frozen=True)
class Difference:
    """ECI of a minus ECI of b, paired over folds; `decided` when the interval excludes 0."""

    difference: float
    se: float
    lo: float
    hi: float
    p_value: float
    decided: bool


def factor_of(mean_matrix: FloatArray, lam: float, dim: int | None = None) -> FloatArray:
    """Lower Cholesky factor of I + (d/lambda) M, of the shape of M, float64.

    Args:
        mean_matrix: M, (d, d) float64, symmetric, positive semi-definite.
        lam: the ridge lambda, above 0.
        dim: d, where M is a smaller matrix of the same eigenvalues above 0.

    Raises:
        MetricError: the matrix is not finite or far from positive semi-definite.
    """
    from scipy.linalg import cholesky

    system = mean_matrix * ((dim or len(mean_matrix)) / lam)
    system[np.diag_indices(len(system))] += 1.0
    try:
        # the transpose is the same matrix in the order that LAPACK takes, without a copy
        return np.asarray(cholesky(system.T, lower=True, overwrite_a=True, check_finite=True), dtype=np.float64)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise MetricError(f"the information matrix has no log-determinant: {error}") from error


def information(mean_matrix: FloatArray, lam: float, dim: int | None = None) -> float:
    """(1/d) logdet(I + (d/lambda) M), in nats per dimension (eci_sql/README.md); 0 of no rows and columns.

    Args:
        mean_matrix: (d, d) float64, symmetric, positive semi-definite.
        lam: the ridge lambda, above 0.
        dim: d, where M is a smaller matrix of the same eigenvalues above 0.

    Raises:
        MetricError: the matrix is not finite or far from positive semi-definite.
    """
    if not len(mean_matrix):
        return 0.0
    factor = factor_of(mean_matrix, lam, dim)
    value = 2.0 * float(np.log(np.diagonal(factor)).sum()) / (dim or len(mean_matrix))
    if not np.isfinite(value):
        raise MetricError(f"the log-determinant of the information matrix is {value}")
    return max(value, 0.0)


def score(plus_sum: FloatArray, minus_sum: FloatArray, n: int, lam: float) -> Score:
    """Score of one source from its sums over n examples; all zeros for n = 0.

    Args:
        plus_sum, minus_sum: (d, d) float64, sums of |w| r r^T over w > 0 and over w < 0.
        n: number of scored examples of either sign.
        lam: the ridge lambda.

    Raises:
        MetricError: as `information`.
    """
    if n == 0:
        return Score(0.0, 0.0, 0.0, 0.0)
    return score_means(plus_sum / n, minus_sum / n, lam)


def score_means(mean_plus: FloatArray, mean_minus: FloatArray, lam: float, dim: int | None = None) -> Score:
    """Score of the mean matrices M+ and M-, both (d, d) float64, or smaller as of `information`."""
    return Score.of(information(mean_plus, lam, dim), information(mean_minus, lam, dim))


def spectrum(mean_matrix: FloatArray) -> tuple[float, float]:
    """Trace, and effective rank exp(entropy of the normalised eigenvalues): 0 for a zero matrix.

    Effective rank after Roy and Vetterli (2007).
    """
    from scipy.linalg import eigvalsh

    trace = float(np.trace(mean_matrix))
    if trace <= 0.0:
        return trace, 0.0
    values = np.clip(eigvalsh(mean_matrix), 0.0, None)
    shares = values[values > 0.0] / values.sum()
    return trace, float(np.exp(-np.sum(shares * np.log(shares))))


def eci_v1(n: int, hardness_mean: float, safety_mean: float) -> float:
    """First version of the paper's score: log(1 + N) times the harmonic mean of two means.

    Args:
        n: number of examples.
        hardness_mean: mean of s_neg.
        safety_mean: mean of the clipped margin max(0, s_pos - s_neg).
    """
    hardness, safety = max(hardness_mean, 0.0), max(safety_mean, 0.0)
    if hardness + safety == 0.0:
        return 0.0
    return float(np.log1p(n)) * 2.0 * hardness * safety / (hardness + safety)


def jackknife_se(leave_out: FloatArray) -> float:
    """Delete-one-fold standard error: sqrt((g - 1)/g * sum (theta_i - mean)^2).

    Over the g values that are not nan; nan below two (Efron and Stein, 1981).
    """
    values = leave_out[~np.isnan(leave_out)]
    if len(values) < 2:
        return float("nan")
    return float(np.sqrt((len(values) - 1) * np.var(values)))


def interval(estimate: float, se: float, folds: int, level: float = 0.95) -> tuple[float, float]:
    """Student t interval on folds - 1 degrees of freedom: (lo, hi); nan below two folds."""
    from scipy.special import stdtrit

    if folds < 2:
        return float("nan"), float("nan")
    half = float(stdtrit(folds - 1, 0.5 + level / 2.0)) * se
    return estimate - half, estimate + half


def p_value(difference: float, se: float, g: int) -> float:
    """Two-sided Student t p-value of a difference with g folds.

    Without spread (se = 0) it is 1 for no difference and 0 for any; nan below two folds.
    """
    from scipy.special import stdtr

    if g < 2 or np.isnan(se):
        return float("nan")
    if se == 0.0:
        return 1.0 if difference == 0.0 else 0.0
    return float(2.0 * stdtr(g - 1, -abs(difference) / se))


def paired_difference(
    eci_a: float,
    leave_out_a: FloatArray,
    eci_b: float,
    leave_out_b: FloatArray,
    level: float = 0.95,
) -> Difference:
    """Difference of two sources on the same folds, with its jackknife interval.

    A fold without examples of one source is still a fold of the difference: leaving it out moves
    the other source only, and the first one's delete-one value is its full estimate, because
    nothing of it was deleted. A fold without examples of either says nothing and is not counted.

    Args:
        eci_a, eci_b: full estimates.
        leave_out_a, leave_out_b: (F,) float64 from `delete_one`, nan where a fold has no examples.
        level: confidence of the interval and of `decided`.
    """
    counted = ~(np.isnan(leave_out_a) & np.isnan(leave_out_b))
    a = np.where(np.isnan(leave_out_a), eci_a, leave_out_a)
    b = np.where(np.isnan(leave_out_b), eci_b, leave_out_b)
    folds = int(np.count_nonzero(counted))
    difference, se = eci_a - eci_b, jackknife_se((a - b)[counted])
    p = p_value(difference, se, folds)
    return Difference(difference, se, *interval(difference, se, folds, level), p, bool(p < 1.0 - level))


def rank_bounds(
    scores: Sequence[float] | FloatArray, decided_matrix: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ranks by ECI and the ranks that the pairwise intervals cannot exclude.

    Args:
        scores: (S,) ECI of each source, in the order that breaks ties (by name).
        decided_matrix: (S, S) bool, symmetric: whether the difference of a pair is decided.

    Returns:
        rank, rank_lo, rank_hi: (S,) int64 from 1. rank_lo is 1 + the number of sources decidedly
        better, rank_hi is S - the number decidedly worse.
    """
    values = np.asarray(scores, dtype=np.float64)
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(-values, kind="stable")] = np.arange(1, len(values) + 1)
    better = decided_matrix & (values[None, :] > values[:, None])
    worse = decided_matrix & (values[None, :] < values[:, None])
    return rank, 1 + better.sum(axis=1), len(values) - worse.sum(axis=1)
