"""Which triples to take: a greedy choice by log-determinant, lazily updated.

Covers: triples one after the other by what each adds to those taken so far, within quotas; near-identical residuals
are not taken twice. Does not cover: where candidates come from (jobs/decide/selection.py).

The gain of a triple never grows as others are taken (the log-determinant is submodular), so a gain computed earlier is
an upper bound: only the candidates with the largest bounds are computed anew (Minoux 1978, "accelerated greedy").
"""

from dataclasses import dataclass, field

import numpy as np

from eci_sql.leverage import leverages
from eci_sql.moments import FloatArray, IntArray

TWIN = 0.99
_BLOCK = 256


@dataclass
class Quotas:
    """What may still be taken of a set of candidates.

    Attributes:
        groups: (n,) int64, each candidate's group (a source).  left: (G,) int64, how many of each group.
        queries: (n,) int64, each candidate's query.  per_query: how many of each query.
    """

    groups: IntArray
    left: IntArray
    queries: IntArray
    per_query: int
    _taken: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Start with nothing taken."""
        self._taken = np.zeros(int(self.queries.max(initial=-1)) + 1, dtype=np.int64)

    def open(self, at: IntArray) -> np.ndarray:
        """Return which of the candidates may be taken, bool."""
        return np.asarray((self.left[self.groups[at]] > 0) & (self._taken[self.queries[at]] < self.per_query))

    def take(self, at: int) -> None:
        """Count one candidate as taken."""
        self.left[self.groups[at]] -= 1
        self._taken[self.queries[at]] += 1


class Chooser:
    """A growing choice: A = I + scale * sum of w r r^T over the triples taken, kept as its inverse.

    Args:
        dim: d.  scale: d / (lambda T) for a choice of T triples, so that A is that of the choice as a source.
    """

    def __init__(self, dim: int, scale: float) -> None:
        self.scale = scale
        self.inverse: FloatArray = np.eye(dim)

    def choose(self, rows: FloatArray, weight: FloatArray, quotas: Quotas) -> IntArray:
        """Take candidates greedily until no quota is left; returns their positions in the order taken.

        Args:
            rows: (n, d) float64 residuals.  weight: (n,) float64, above 0.
        """
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        unit = (rows / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)
        scaled = rows * np.sqrt(self.scale * weight)[:, None]
        bounds = leverages(scaled, np.asarray(np.linalg.cholesky(self.inverse).T, dtype=np.float64))
        bounds[lengths == 0] = -np.inf
        taken: list[int] = []
        while True:
            live = np.flatnonzero(bounds > -np.inf)
            bounds[live[~quotas.open(live)]] = -np.inf
            live = live[bounds[live] > -np.inf]
            if not len(live):
                return np.array(taken, dtype=np.int64)
            block, rest = _largest(live, bounds)
            twins = (unit[block] @ unit[taken].T > TWIN).any(axis=1) if taken else np.zeros(len(block), dtype=bool)
            bounds[block[twins]] = -np.inf
            self._take_block(block[~twins], rest, scaled, unit, bounds, quotas, taken)

    def _take_block(
        self,
        block: IntArray,
        rest: float,
        scaled: FloatArray,
        unit: np.ndarray,
        bounds: FloatArray,
        quotas: Quotas,
        taken: list[int],
    ) -> None:
        """Take from a block while its largest gain is above the largest bound outside (`rest`); keeps its gains."""
        x = scaled[block]
        solved = x @ self.inverse
        gain = np.einsum("ij,ij->i", solved, x)
        steps = []
        while len(block):
            gain[~quotas.open(block)] = -np.inf
            best = int(np.argmax(gain))
            if not gain[best] >= rest or gain[best] == -np.inf:
                break
            quotas.take(int(block[best]))
            taken.append(int(block[best]))
            step = solved[best] / np.sqrt(1.0 + gain[best])
            along = x @ step
            steps.append(step)
            solved -= along[:, None] * step
            gain -= along**2
            gain[unit[block] @ unit[block[best]] > TWIN] = -np.inf
        bounds[block] = gain
        if steps:
            moved = np.stack(steps)
            self.inverse -= moved.T @ moved


def _largest(live: IntArray, bounds: FloatArray) -> tuple[IntArray, float]:
    """Return the candidates with the largest bounds, and the largest bound of the others."""
    if len(live) <= _BLOCK:
        return live, -np.inf
    values = bounds[live]
    order = np.argpartition(-values, _BLOCK)
    return live[np.sort(order[:_BLOCK])], float(values[order[_BLOCK]])
