"""Mixtures of sources: given shares, and the best shares.

Covers: M_mix = sum alpha_s M_s needs no new embedding.
Does not cover: the score of one matrix and the intervals (information.py), pooled hybrids (folds.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isqrt

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.linalg import lapack

from eci_sql.errors import MetricError
from eci_sql.folds import Folds, Mixed
from eci_sql.information import Score, score_means
from eci_sql.moments import FloatArray

_PAIRED = 4  # sources, best first, whose pairs are starts
_GAIN = 1e-12  # relative; a smaller gain over a simpler mixture is rounding
_NEAR, _CONVERGED = 1e-9, 1e-15  # of the relative objective: every ascent, then the best one's end


@dataclass(frozen=True)
class Mixture:
    """Shares (S,) float64 that sum to 1, their ECI, and the kind of start that led there."""

    alpha: FloatArray
    eci: float
    start: str


def delete_one_mix(alpha: FloatArray, parts: Sequence[Folds], lam: float) -> tuple[Score, FloatArray]:
    """Score of a mixture with fixed shares, and its ECI without each fold.

    The shares stay as they are when a fold goes: at an optimum the first-order effect of choosing
    them anew is zero, so this serves the best mixture too.

    Args:
        alpha: (S,) float64 shares.
        parts: S sources. Of those with a share the sums over all folds are in memory.
        lam: the ridge lambda.

    Returns:
        The score, and (F,) float64: nan for a fold without examples of any part with a share.

    Raises:
        MetricError: alpha is not on the simplex, or as `information`.
    """
    _check_shares(alpha)
    used = [(float(share), part) for share, part in zip(alpha, parts, strict=True) if share > 0.0]
    if not used:
        raise MetricError("a mixture needs at least one source")

    signs = [Mixed([part.signs[sign] for _, part in used]) for sign in (0, 1)]

    def scored(without: int | None) -> Score:
        rest = [int(part.n.sum()) - (0 if without is None else int(part.n[without])) for _, part in used]
        shares = [share / n if n > 0 else 0.0 for (share, _), n in zip(used, rest, strict=True)]
        return Score.of(*(sign.information(shares, lam, without) for sign in signs))

    examples = np.sum([part.n for _, part in used], axis=0)
    leave_out = [scored(fold).eci if n else float("nan") for fold, n in enumerate(examples)]
    return scored(None), np.array(leave_out)


def best_mixture(mean_plus: FloatArray, mean_minus: FloatArray, lam: float, dim: int | None = None) -> Mixture:
    """Shares that maximise ECI over the simplex.

    Sequential quadratic programming (SLSQP) with analytic gradients from every source alone, from
    all in equal shares and from the pairs of the best few; the best end is kept, and no mixture is
    worse than the best source. ECI is not concave in alpha, so the optimum is the best one found.
    Sources are put in an order of their content first: the answer does not depend on theirs.

    Args:
        mean_plus, mean_minus: (S, d, d) float64, or smaller ones of the same spectrum (`Mixed.means`).
        lam: the ridge lambda.
        dim: d, where they are smaller.

    Raises:
        MetricError: no sources, or as `information`.
    """
    dim = dim or mean_plus.shape[1]
    if len(mean_plus) == 0:
        raise MetricError("a mixture needs at least one source")
    alone = [score_means(p, m, lam, dim).eci for p, m in zip(mean_plus, mean_minus, strict=True)]
    order = sorted(
        range(len(alone)),
        key=lambda s: (-alone[s], mean_plus[s].tobytes(), mean_minus[s].tobytes()),
    )
    vertex = np.eye(len(order))[0]
    best = Mixture(vertex, alone[order[0]], "alone")
    if best.eci > 0.0 and len(order) > 1:
        objective = _Objective(mean_plus[order], mean_minus[order], lam, dim, best.eci)
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

    def __init__(self, plus: FloatArray, minus: FloatArray, lam: float, dim: int, unit: float) -> None:
        self._signs = (plus.reshape(len(plus), -1), minus.reshape(len(minus), -1))
        self._dim, self._lam, self._unit = dim, lam, unit

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
        side = isqrt(sums.shape[1])
        system = (alpha @ sums).reshape(side, side) * (self._dim / self._lam)
        system[np.diag_indices(side)] += 1.0
        factor, failed = lapack.dpotrf(system.T, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise MetricError("the information matrix of a mixture is not positive definite")
        value = 2.0 * float(np.log(np.diagonal(factor)).sum()) / self._dim
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse *= 2.0  # one triangle stands for both, the diagonal for itself
        inverse[np.diag_indices(side)] /= 2.0
        return value, sums @ inverse.T.reshape(-1) / self._lam


def _check_shares(alpha: NDArray[np.float64]) -> None:
    if not (np.all(alpha >= 0.0) and abs(float(alpha.sum()) - 1.0) <= 1e-9):
        raise MetricError(f"shares must not be negative and must sum to 1, not {alpha.tolist()}")


def _onto_simplex(alpha: FloatArray) -> FloatArray:
    shares = np.where(alpha < 1e-12, 0.0, alpha)
    return np.asarray(shares / shares.sum(), dtype=np.float64)
