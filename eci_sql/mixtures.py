"""Mixtures of sources: pooled hybrids, given shares, and the best shares.

Covers: M_mix = sum alpha_s M_s needs no new embedding.
Does not cover: the score of one matrix and the intervals (information.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.linalg import lapack

from eci_sql.errors import MetricError
from eci_sql.information import Score, score_means
from eci_sql.moments import FloatArray, IntArray, dim_of, sum_packed, unpack_upper

_PAIRED = 4  # sources, best first, whose pairs are starts
_GAIN = 1e-12  # relative; a smaller gain over a simpler mixture is rounding
_NEAR, _CONVERGED = 1e-9, 1e-15  # of the relative objective: every ascent, then the best one's end


class Folds(NamedTuple):
    """What `delete_one` takes: packed sums (F, P) int64 of either sign, examples (F,) int64."""

    plus: IntArray
    minus: IntArray
    n: IntArray


@dataclass(frozen=True)
class Mixture:
    """Shares (S,) float64 that sum to 1, their ECI, and the kind of start that led there."""

    alpha: FloatArray
    eci: float
    start: str


def pooled(parts: Sequence[Folds]) -> Folds:
    """All examples of several sources as one source: alpha_s = N_s / sum N, exactly.

    Raises:
        MetricError: sums too large for int64.
    """
    plus, minus = (
        np.stack([sum_packed(np.stack(fold)) for fold in zip(*sums, strict=True)])
        for sums in ([part.plus for part in parts], [part.minus for part in parts])
    )
    return Folds(plus, minus, np.sum([part.n for part in parts], axis=0, dtype=np.int64))


def delete_one_mix(alpha: FloatArray, parts: Iterable[Folds], lam: float) -> tuple[Score, FloatArray]:
    """Score of a mixture with fixed shares, and its ECI without each fold.

    The shares stay as they are when a fold goes: at an optimum the first-order effect of choosing
    them anew is zero, so this serves the best mixture too.

    Args:
        alpha: (S,) float64 shares.
        parts: S sources, taken one at a time, so that a generator keeps one in memory.
        lam: the ridge lambda.

    Returns:
        The score, and (F,) float64: nan for a fold without examples of any part with a share.

    Raises:
        MetricError: alpha is not on the simplex, or as `information`.
    """
    _check_shares(alpha)
    means: FloatArray | None = None
    examples = np.zeros(0, dtype=np.int64)
    for share, part in zip(alpha, parts, strict=True):
        if share > 0.0:
            if means is None:
                means = np.zeros((len(part.n) + 1, 2, part.plus.shape[1]))
                examples = np.zeros(len(part.n), dtype=np.int64)
            _add_without(means, float(share), part)
            examples += part.n
    if means is None:
        raise MetricError("a mixture needs at least one source")
    dim = dim_of(means.shape[2])

    def scored(row: int) -> Score:
        return score_means(unpack_upper(means[row, 0], dim), unpack_upper(means[row, 1], dim), lam)

    leave_out = [scored(fold).eci if n else float("nan") for fold, n in enumerate(examples)]
    return scored(-1), np.array(leave_out)


def _add_without(means: FloatArray, share: float, part: Folds) -> None:
    """Add a part's packed means to (F + 1, 2, P): without each fold, and of all folds in the last row."""
    plus, minus, n = sum_packed(part.plus), sum_packed(part.minus), int(part.n.sum())
    for fold in range(len(part.n) + 1):
        last = fold == len(part.n)
        rest = n if last else n - int(part.n[fold])
        if rest > 0:
            means[fold, 0] += (plus if last else plus - part.plus[fold]) * (share / rest)
            means[fold, 1] += (minus if last else minus - part.minus[fold]) * (share / rest)


def best_mixture(mean_plus: FloatArray, mean_minus: FloatArray, lam: float) -> Mixture:
    """Shares that maximise ECI over the simplex.

    Sequential quadratic programming (SLSQP) with analytic gradients from every source alone, from
    all in equal shares and from the pairs of the best few; the best end is kept, and no mixture is
    worse than the best source. ECI is not concave in alpha, so the optimum is the best one found.
    Sources are put in an order of their content first: the answer does not depend on theirs.

    Args:
        mean_plus, mean_minus: (S, d, d) float64.
        lam: the ridge lambda.

    Raises:
        MetricError: no sources, or as `information`.
    """
    if len(mean_plus) == 0:
        raise MetricError("a mixture needs at least one source")
    alone = [score_means(p, m, lam).eci for p, m in zip(mean_plus, mean_minus, strict=True)]
    order = sorted(
        range(len(alone)),
        key=lambda s: (-alone[s], mean_plus[s].tobytes(), mean_minus[s].tobytes()),
    )
    vertex = np.eye(len(order))[0]
    best = Mixture(vertex, alone[order[0]], "alone")
    if best.eci > 0.0 and len(order) > 1:
        objective = _Objective(mean_plus[order], mean_minus[order], lam, best.eci)
        for start, alpha in _starts(len(order)):
            end = objective.ascend(alpha, _NEAR)
            value = objective.value(end)
            if value > best.eci * (1.0 + _GAIN):
                best = Mixture(end, value, start)
        best = objective.polish(best)
    alpha = np.empty(len(order))
    alpha[order] = best.alpha
    return Mixture(alpha, best.eci, best.start)


def _starts(sources: int) -> Iterator[tuple[str, FloatArray]]:
    yield "uniform", np.full(sources, 1.0 / sources)
    vertices = np.eye(sources)
    for a, b in combinations(range(min(sources, _PAIRED)), 2):
        yield "pair", (vertices[a] + vertices[b]) / 2.0
    for vertex in vertices:
        yield "vertex", vertex


class _Objective:
    """ECI over the simplex and its gradient, relative to `unit` so that tolerances are too."""

    def __init__(self, plus: FloatArray, minus: FloatArray, lam: float, unit: float) -> None:
        self._signs = (plus.reshape(len(plus), -1), minus.reshape(len(minus), -1))
        self._dim, self._lam, self._unit = plus.shape[1], lam, unit

    def value(self, alpha: FloatArray) -> float:
        """ECI of the mixture."""
        return Score.of(*(self._information(alpha, sums)[0] for sums in self._signs)).eci

    def ascend(self, alpha: FloatArray, tolerance: float) -> FloatArray:
        """Local optimum reached from alpha, on the simplex."""
        optimize = scipy.optimize  # loaded when it is named: a third of a second that only an ascent needs
        result = optimize.minimize(
            self._loss,
            alpha,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * len(alpha),
            constraints=optimize.LinearConstraint(np.ones((1, len(alpha))), 1.0, 1.0),
            options={"ftol": tolerance, "maxiter": 200},
        )
        return _onto_simplex(result.x)

    def polish(self, best: Mixture) -> Mixture:
        """The same optimum with its shares converged; a source alone is exact as it is."""
        if best.start == "alone":
            return best
        alpha = self.ascend(best.alpha, _CONVERGED)
        value = self.value(alpha)
        return Mixture(alpha, value, best.start) if value >= best.eci else best

    def _loss(self, alpha: FloatArray) -> tuple[float, FloatArray]:
        alpha = np.clip(alpha, 0.0, None)
        (good, good_slope), (bad, bad_slope) = (self._information(alpha, s) for s in self._signs)
        total = good + bad
        if total <= 0.0:
            return 0.0, -good_slope / self._unit
        # ECI = I^2 / (I + J)
        slope = (good * (good + 2.0 * bad) * good_slope - good**2 * bad_slope) / total**2
        return -(good**2) / total / self._unit, -slope / self._unit

    def _information(self, alpha: FloatArray, sums: FloatArray) -> tuple[float, FloatArray]:
        """(1/d) logdet A and its gradient (1/lambda) tr(A^-1 M_s), with A = I + (d/lambda) M."""
        dim = self._dim
        system = (alpha @ sums).reshape(dim, dim) * (dim / self._lam)
        system[np.diag_indices(dim)] += 1.0
        factor, failed = lapack.dpotrf(system.T, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise MetricError("the information matrix of a mixture is not positive definite")
        value = 2.0 * float(np.log(np.diagonal(factor)).sum()) / dim
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse *= 2.0  # one triangle stands for both, the diagonal for itself
        inverse[np.diag_indices(dim)] /= 2.0
        return value, sums @ inverse.T.reshape(-1) / self._lam


def _check_shares(alpha: NDArray[np.float64]) -> None:
    if not (np.all(alpha >= 0.0) and abs(float(alpha.sum()) - 1.0) <= 1e-9):
        raise MetricError(f"shares must not be negative and must sum to 1, not {alpha.tolist()}")


def _onto_simplex(alpha: FloatArray) -> FloatArray:
    shares = np.where(alpha < 1e-12, 0.0, alpha)
    return np.asarray(shares / shares.sum(), dtype=np.float64)
