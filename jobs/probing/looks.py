"""After how many steps a probe looks at what it trains, and which of these looks count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOOKS = 4


def looks_of(steps: int) -> tuple[int, ...]:
    """Return the steps after which nDCG is measured, ascending: all of them, half, a quarter, an eighth."""
    found = [steps]
    while len(found) < LOOKS and found[0] > 1:
        found.insert(0, half_of(found[0]))
    return tuple(found)


def half_of(steps: int) -> int:
    """Return the steps of the look before that after `steps`."""
    return (steps + 1) // 2


def counting_looks(ndcg: NDArray[np.float64]) -> list[int]:
    """Return the places of the looks by which all sources are judged: where the best source is best (of equals the first),
    and the next one; the last two where there is no next one.

    How long is long enough differs from collection to collection, and the number of steps that one would train for is that which
    suits the source that one would take. A choice by the mean over all sources is made by the worst of them. Sources need not all
    be at their best after the same number of steps: two looks tell more than one.

    Args:
        ndcg: (S, L), the mean of each source at each look.
    """
    last = ndcg.shape[1] - 1
    best = int(ndcg.max(axis=0).argmax())
    return [best, best + 1] if best < last else list(range(max(last - 1, 0), last + 1))
