"""What a probe's gains are worth: standard errors that hold queries and trainings together, intervals, Holm over pairs.

Each source is trained 2 H times (H halvings, two halves each) and every query is judged H times, so a difference of two
sources is uncertain for two reasons: the queries might have been others, and so might what it was trained on, which
moves all queries of a half at once. The model for the value of source s, training t and query q, less the mean over
the sources, is

    z = source + training (variance U, the same for all sources) + query + rest

U is estimated by the method of moments, from how the two halves of a halving differ beyond what their queries explain,
and how the halvings differ, over all sources together. The variance of a mean is then that over the queries (each
query's mean over its halvings) plus U / 2 H, with Satterthwaite's degrees of freedom (Satterthwaite, 1946).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
CHOICE = 2.0
"""What a p-value is multiplied by for the choice of the look: as if of two independent ones. Four looks whose trainings share
0.8 of their variance count as 2.1 (Nyholt, 2004); chosen without it, equal sources were told apart in up to 8 % of runs."""

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean, its standard error and degrees of freedom, its interval, and the two-sided p-value of its being 0."""

    value: float
    se: float
    freedom: float
    low: float
    high: float
    p_value: float


class Part(NamedTuple):
    """A variance, as an estimate `raw` of it and of noise together, on so many degrees of freedom, leaves it."""

    variance: float
    raw: float
    freedom: float

    def over(self, count: float) -> Part:
        """Return the variance of a mean of `count`."""
        return Part(self.variance / count, self.raw / count, self.freedom)


def training_variance(values: Values, sides: NDArray[np.int64]) -> Part:
    """Return U, the variance that a training adds to a source's mean.

    Args:
        values: (S, H, Q), S at least 2.  sides: (H, Q), the half in which each query was judged.
    """
    count, halvings, _ = values.shape
    z = values - values.mean(axis=0)
    raw = noise = 0.0  # sums over halvings, each of whose terms has the mean (S - 1) U
    for halving, half in enumerate(sides):
        groups = [z[:, halving, half == k] for k in (0, 1)]
        raw += float(((groups[0].mean(axis=1) - groups[1].mean(axis=1)) ** 2).sum()) / 2
        noise += sum(float((group.var(axis=1, ddof=1) / group.shape[1]).sum()) for group in groups) / 2
    if halvings > 1:
        raw += 2 * float(z.mean(axis=2).var(axis=1, ddof=1).sum()) * (halvings - 1)
        noise += 2 * float(z.var(axis=1, ddof=1).mean(axis=1).sum()) / z.shape[2] * (halvings - 1)
    freedom = (count - 1) * (2 * halvings - 1)
    return Part(max(raw - noise, 0.0) / freedom, raw / freedom, freedom)


def difference(one: Values, other: Values, training: Part) -> Estimate:
    """Return the mean of one source's values less another's, (H, Q) each. `training`: as `training_variance`."""
    apart = one - other
    if not apart.any():  # trained on the same
        return Estimate(0.0, 0.0, np.inf, 0.0, 0.0, 1.0)
    return _estimate(apart, training.over(len(apart)))  # two means of 2 H trainings each


def gain(values: Values, frozen: Values, sides: NDArray[np.int64]) -> Estimate:
    """Return the mean of a source's values less those of the frozen encoder, (H, Q) each.

    The variance of a training is here that of the source alone, from its own 2 H trainings.
    """
    apart = values - frozen
    # beside a row of zeros `training_variance` sees half of the variance
    alone = training_variance(np.stack([apart, np.zeros_like(apart)]), sides).over(0.5)
    return _estimate(apart, alone.over(2 * len(apart)))


def _estimate(apart: Values, training: Part) -> Estimate:
    of_query = apart.mean(axis=0)
    mean, count = float(of_query.mean()), len(of_query)
    queries = float(of_query.var(ddof=1)) / count
    variance = queries + training.variance
    if variance == 0.0:
        return Estimate(mean, 0.0, np.inf, mean, mean, float(mean == 0.0))
    freedom = variance**2 / (queries**2 / (count - 1) + training.raw**2 / training.freedom)
    se = float(np.sqrt(variance))
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * se
    return Estimate(mean, se, freedom, mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / se)))


def holm(p_values: Values) -> Values:
    """Return p-values (m,) corrected for their number (Holm, 1979): compared with 1 - LEVEL as they are."""
    order = np.argsort(p_values, kind="stable")
    ordered = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(ordered), 1.0)
    return corrected
