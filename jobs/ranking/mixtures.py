"""Stage `mixture`: the best mixture of sources, and any given one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from eci_sql.information import Score, score_means, spectrum
from eci_sql.mixtures import Folds, best_mixture, delete_one_mix
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from jobs.scoring.moments import folds_of_table, read_source
from jobs.work.job import Job
from jobs.work.summaries import Mixture

MOST = 64
"""Sources that may have a share: the time of the search grows with the fourth power of their number."""


def mixture_task(job: Job, name: str, numbers: list[int], scored: list[str]) -> Mixture:
    """Find the best mixture of the sources with these numbers, from the sums of the score tasks `scored`."""

    def read(number: int) -> Folds:
        return folds_of_table(read_source(job, numbers[number], scored), job.folds)

    with threadpool_limits(1, "blas"):
        found = best_of(read, len(numbers), job.lam)
    return found.as_dict()


def means_of(read: Callable[[int], Folds], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean matrices M+ and M- of `count` sources, float64 (S, d, d), one source in memory at a time."""
    plus, minus = [], []
    for number in range(count):
        part = read(number)
        n, dim = max(int(part.n.sum()), 1), dim_of(part.plus.shape[1])
        plus.append(unpack_upper(sum_packed(part.plus), dim) / n)
        minus.append(unpack_upper(sum_packed(part.minus), dim) / n)
    return np.stack(plus), np.stack(minus)


def _only(read: Callable[[int], Folds], number: int, _: int) -> Folds:
    return read(number)


@dataclass(frozen=True)
class Mixed:
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


def best_of(read: Callable[[int], Folds], count: int, lam: float) -> Mixed:
    """Return the best mixture of `count` sources, of more than MOST the MOST best ones; `read` gives one's sums by fold.

    Raises:
        MetricError: as `best_mixture`.
    """
    kept = best_alone(read, count, lam)
    if len(kept) < count:
        found = best_of(lambda number: read(kept[number]), MOST, lam)
        alpha = np.zeros(count)
        alpha[kept] = found.alpha
        return replace(found, alpha=alpha)
    plus, minus = means_of(read, count)
    return mix_of(read, best_mixture(plus, minus, lam).alpha, lam, plus)


def best_alone(read: Callable[[int], Folds], count: int, lam: float) -> list[int]:
    """Return the numbers of the sources that a mixture is looked for among, in their order: all, or the MOST of the highest scores.

    One source is in memory at a time.
    """
    if count <= MOST:
        return list(range(count))
    scores = np.empty(count)
    for number in range(count):
        (plus,), (minus,) = means_of(partial(_only, read, number), 1)
        scores[number] = score_means(plus, minus, lam).eci
    return sorted(np.argsort(-scores, kind="stable")[:MOST].tolist())


def mix_of(read: Callable[[int], Folds], alpha: np.ndarray, lam: float, mean_plus: np.ndarray | None = None) -> Mixed:
    """Return the mixture with the given shares, float64 (S,). `mean_plus`: the sources' M+, where they are at hand."""
    plus = means_of(read, len(alpha))[0] if mean_plus is None else mean_plus
    used = np.flatnonzero(alpha)
    score, leave_out = delete_one_mix(alpha[used], (read(int(number)) for number in used), lam)
    return Mixed(alpha, score, leave_out, *spectrum(np.tensordot(alpha, plus, axes=1)))
