"""In which order the sources stand: by what the probe has measured and what the closed form expects, taken together.

A gain depends on how long the probe trains, and information on what frozen embeddings can tell; where one of them goes
wrong the other mostly does not. So each is made a standard score over the sources and the two are added with equal
weights, which need no fitting (Dawes, 1979). A pair that the probe decides is never turned round by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_SOURCES = 3
"""With fewer there is no scale that the two could be compared on."""

Values = NDArray[np.float64]


def informed(information: Mapping[str, float], parts: Sequence[str]) -> float | None:
    """Return the information of a source, or of a hybrid of several, None where one of them has none.

    A hybrid's is the mean of its parts', which that of their pooled triples is not below: the log-determinant is concave.
    """
    if any(part not in information for part in parts):
        return None
    return sum(information[part] for part in parts) / len(parts)


def evidence_of(gains: Sequence[float], information: Sequence[float | None], alone: Sequence[bool]) -> Values:
    """Return the mean of the standard scores of gain and of the logarithm of information, (S,).

    Args:
        gains: of the S sources and hybrids.  information: None for what has none; its gain counts alone.
        alone: which of them are sources; the scales are theirs.

    Returns:
        float64. With fewer than LEAST_SOURCES sources that have information, or all of the same, gain counts alone.
    """
    gain, mine = np.array(gains, dtype=np.float64), np.array(alone, dtype=bool)
    known = np.array([value is not None for value in information], dtype=bool)
    given = np.array([value or 0.0 for value in information], dtype=np.float64)
    score = _standard(gain, mine)
    positive = mine & known & (given > 0)
    if positive.sum() < LEAST_SOURCES:
        return score
    # a source that has none at all is as the one that has least
    logs = np.log(np.maximum(given, given[positive].min()))
    if not np.ptp(logs[mine & known]):
        return score
    return np.where(known, (score + _standard(logs, mine & known)) / 2, score)


def ranks_of(evidence: Values, gains: Sequence[float], decided: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the rank of each of S, from 1: most evidence first, of equals the larger gain, then in their order.

    Args:
        evidence, gains: (S,).
        decided: (S, S), symmetric; of such a pair the one with the larger gain comes first, whatever the evidence.
    """
    gain = np.array(gains, dtype=np.float64)
    better = decided & (gain[:, None] > gain[None, :])
    waiting = better.sum(axis=0)
    left = np.lexsort((-gain, -evidence)).tolist()
    ranks = np.empty(len(gain), dtype=np.int64)
    for rank in range(1, len(gain) + 1):
        first = next(i for i in left if not waiting[i])
        left.remove(first)
        ranks[first] = rank
        waiting -= better[first]
    return ranks


def _standard(values: Values, over: NDArray[np.bool_]) -> Values:
    """Return standard scores by the mean and the deviation of some of the values; zeros where these are all the same."""
    those = values[over] if over.any() else values
    spread = those.std()
    return (values - those.mean()) / spread if spread > 0 else np.zeros(len(values))
