"""The bootstrap over queries: means of many draws, and the interval of an estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000

LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value and its percentile interval over the draws (nan where it is not defined)."""

    value: float
    lo: float
    hi: float

    @classmethod
    def of(cls, value: float, draws: Floats) -> Estimate:
        """With the interval of LEVEL from (B,) draws; undefined draws do not count."""
        known = draws[~np.isnan(draws)]
        lo, hi = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(known) else (np.nan, np.nan)
        return cls(value, float(lo), float(hi))


def draw_means(values: Floats, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Return bootstrap means (B, S) of a metric (S, K, Q): queries and seeds drawn with replacement, sources paired."""
    random = np.random.default_rng(seed)
    _, seeds, queries = values.shape
    of_query = random.multinomial(queries, np.full(queries, 1 / queries), draws) / queries
    of_seed = random.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    return np.stack([(of_query @ source.T * of_seed).sum(axis=1) for source in values], axis=1)
