"""Stage `mixture`: the best mixture of sources, and any given one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from eci_sql.folds import Folds, Mixed
from eci_sql.information import Score, spectrum
from eci_sql.mixtures import best_mixture, delete_one_mix
from jobs.scoring.sums import read_source
from jobs.work.job import Job
from jobs.work.summaries import Mixture

MOST = 64
"""Sources that may have a share: the time of the search grows with the fourth power of their number."""


def mixture_task(job: Job, name: str, numbers: list[int], scored: list[str]) -> Mixture:
    """Find the best mixture of the sources with these numbers, from the sums of the score tasks `scored`."""

    def read(number: int) -> Folds:
        return read_source(job, [numbers[number]], scored).sums

    with threadpool_limits(1, "blas"):
        found = best_of(read, len(numbers), job.lam)
    return found.as_dict()


def means_of(parts: Sequence[Folds]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean matrices M+ and M- of sources, float64 (S, d, d), or smaller ones of the same spectrum."""
    n = [max(int(part.n.sum()), 1) for part in parts]
    plus, minus = (Mixed([part.signs[sign] for part in parts]).means(n) for sign in (0, 1))
    return plus, minus


@dataclass(frozen=True)
class ScoredMixture:
    """A scored mixture: shares float64 (S,), score, ECI without each fold float64 (F,), trace and effective rank."""

    alpha: np.ndarray
    score: Score
    leave_out: np.ndarray
    trace: float
    effective_rank: float

    def as_dict(self) -> Mixture:
        """Return it as plain numbers, named like the columns of source_eci."""
        left = {str(i): float(value) for i, value in enumerate(self.leave_out) if not np.isnan(value)}
        return {
            "alpha": self.alpha.tolist(),
            "information": self.score.information,
            "misinformation": self.score.misinformation,
            "purity": self.score.purity,
            "eci": self.score.eci,
            "leave_out": left,
            "trace": self.trace,
            "effective_rank": self.effective_rank,
            "folds_done": len(left),
        }


def best_of(read: Callable[[int], Folds], count: int, lam: float) -> ScoredMixture:
    """Return the best mixture of `count` sources, of more than MOST the MOST best ones; `read` gives one's sums by fold.

    Raises:
        MetricError: as `best_mixture`.
    """
    kept = best_alone(read, count, lam)
    parts = [read(number) for number in kept]
    plus, minus = means_of(parts)
    best = best_mixture(plus, minus, lam, parts[0].plus.dim)
    found = mix_of(parts, best.alpha, lam, plus)
    alpha = np.zeros(count)
    alpha[kept] = found.alpha
    return replace(found, alpha=alpha)


def best_alone(read: Callable[[int], Folds], count: int, lam: float) -> list[int]:
    """Return the numbers of the sources that a mixture is looked for among, in their order: all, or the MOST of the highest scores.

    One source is in memory at a time.
    """
    if count <= MOST:
        return list(range(count))
    scores = np.empty(count)
    for number in range(count):
        part = read(number)
        n = max(int(part.n.sum()), 1)
        scores[number] = Score.of(*(sign.information(n, lam) for sign in part.signs)).eci
    return sorted(np.argsort(-scores, kind="stable")[:MOST].tolist())


def mix_of(parts: Sequence[Folds], alpha: np.ndarray, lam: float, mean_plus: np.ndarray) -> ScoredMixture:
    """Return the mixture with the given shares, float64 (S,). `mean_plus`: the parts' M+, of `means_of`."""
    score, leave_out = delete_one_mix(alpha, parts, lam)
    return ScoredMixture(alpha, score, leave_out, *spectrum(np.tensordot(alpha, mean_plus, axes=1)))
