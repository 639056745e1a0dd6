"""How well a score agrees with what fine-tuning gives: rank correlations, regret, and which differences are real.

Everything is resampled over the same draws of test queries and seeds for all sources, so that comparisons are paired:
a hard query is hard for every source. S is the number of sources, K of seeds, Q of test queries, B of draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from jobs.retrieval.bootstrap import Estimate, Floats


@dataclass(frozen=True)
class Agreement:
    """What one predictor is worth.

    Attributes:
        spearman, kendall: rank correlation (tau-b) between predictor and metric over the sources.
        picked: the source the predictor puts first (the first by name of several).
        regret: metric of the best source less that of the picked one; a tie for the first place counts with its mean.
        pairs_right: share of the really different pairs of sources that the predictor orders right; a tie is half.
    """

    spearman: Estimate
    kendall: Estimate
    picked: str
    regret: Estimate
    pairs_right: Estimate


@dataclass(frozen=True)
class Pair:
    """Metric of source a less that of b; `different` when the paired bootstrap's interval excludes 0."""

    a: str
    b: str
    difference: Estimate
    different: bool


def spearman(predictor: Floats, metric: Floats) -> Floats:
    """Return Spearman's rank correlation of (S,) with each row of (B, S): (B,), nan where either is constant."""
    x = rankdata(predictor)
    y = rankdata(np.atleast_2d(metric), axis=1)
    x, y = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    return _ratio(y @ x, np.sqrt((x * x).sum() * (y * y).sum(axis=1)))


def kendall(predictor: Floats, metric: Floats) -> Floats:
    """Return Kendall's tau-b of (S,) with each row of (B, S): (B,), nan where either is constant (Kendall, 1945).

    All draws at once: SciPy's takes one at a time, half a second for 2,000.
    """
    upper = np.triu_indices(len(predictor), 1)
    rows = np.atleast_2d(metric)
    x = np.sign(predictor[upper[0]] - predictor[upper[1]])
    y = np.sign(rows[:, upper[0]] - rows[:, upper[1]])
    return _ratio(y @ x, np.sqrt((x != 0).sum() * (y != 0).sum(axis=1)))


def real_pairs(names: list[str], values: Floats, draws: Floats) -> list[Pair]:
    """Return every pair of sources, in order. The intervals are not corrected for the number of pairs.

    Args:
        names: of the S sources.  values: (S, K, Q).  draws: (B, S) from `draw_means`.
    """
    means = values.mean(axis=(1, 2))
    pairs = []
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            difference = Estimate.of(float(means[a] - means[b]), draws[:, a] - draws[:, b])
            pairs.append(Pair(names[a], names[b], difference, difference.lo > 0 or difference.hi < 0))
    return pairs


def agreement(names: list[str], predictor: Floats, values: Floats, draws: Floats, pairs: list[Pair]) -> Agreement:
    """Return what a predictor (S,), larger taken for better, says about a metric.

    Args:
        names, values, draws: as for `real_pairs`, which gives `pairs`.
        predictor: (S,) float64; a source without a value (nan) is left out.
    """
    known = np.flatnonzero(~np.isnan(predictor))
    x, means = predictor[known], values.mean(axis=(1, 2))
    if not len(known):
        nothing = Estimate(np.nan, np.nan, np.nan)
        return Agreement(nothing, nothing, "", nothing, nothing)
    first = known[x == x.max()]
    return Agreement(
        Estimate.of(float(spearman(x, means[known])[0]), spearman(x, draws[:, known])),
        Estimate.of(float(kendall(x, means[known])[0]), kendall(x, draws[:, known])),
        min(names[i] for i in first),
        Estimate.of(float(means.max() - means[first].mean()), draws.max(axis=1) - draws[:, first].mean(axis=1)),
        _pairs_right(names, predictor, means, draws, pairs),
    )


def random_regret(values: Floats) -> float:
    """Return the mean regret of picking any of the sources (S, K, Q) with the same chance."""
    means = values.mean(axis=(1, 2))
    return float(means.max() - means.mean())


def _pairs_right(names: list[str], predictor: Floats, means: Floats, draws: Floats, pairs: list[Pair]) -> Estimate:
    """Return the share of the really different pairs that are ordered as the metric has them, and as each draw has them."""
    places = np.array([(names.index(p.a), names.index(p.b)) for p in pairs if p.different], dtype=np.int64).reshape(
        -1, 2
    )
    said = np.sign(predictor[places[:, 0]] - predictor[places[:, 1]])
    places, said = places[~np.isnan(said)], said[~np.isnan(said)]
    if not len(said):
        return Estimate(np.nan, np.nan, np.nan)
    rows = np.concatenate([means[None], draws])
    right = 0.5 + 0.5 * np.sign(rows[:, places[:, 0]] - rows[:, places[:, 1]]) * said
    share = right.mean(axis=1)
    return Estimate.of(float(share[0]), share[1:])


def _ratio(above: Floats, below: Floats) -> Floats:
    ratio: Floats = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return ratio
