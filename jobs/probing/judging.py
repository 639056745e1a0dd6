"""Whether a run that looks at ever larger samples may stop: the question answered by the probe's gains.

A pair counts as ordered when its difference is beyond what chance gives at a level that is shared out over all looks and
all comparisons (Bonferroni), so that over the whole run a wrong answer is given with a probability of at most 1 - P; a
pair whose difference is surely within the tolerance is a decided tie. As eci_sql/sequential.py does it for ECI.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from eci_sql.sequential import one_sided_level
from jobs.probing.statistics import CHOICE, Estimate, difference, training_variance


class Question(NamedTuple):
    """What is asked: the leader or every adjacent pair, at the level P, in at most so many looks."""

    decide: Literal["top", "all"]
    probability: float
    looks: int


def judge(
    names: list[str],
    values: NDArray[np.float64],
    sides: NDArray[np.int64],
    question: Question,
    tolerance: float,
) -> list[tuple[str, str]]:
    """Return the pairs that are open, the better one first.

    Args:
        names: of the S sources.  values: nDCG (S, H, Q).  sides: (H, Q), the half in which each query was judged.
        tolerance: in nDCG, within which a difference is a tie.
    """
    if len(names) < 2:
        return []
    order = np.argsort(-values.mean(axis=(1, 2)), kind="stable").tolist()
    training = training_variance(values, sides)
    level = one_sided_level(question.decide, len(names), question.looks, question.probability) / CHOICE
    pairs = (
        [(order[0], k) for k in order[1:]] if question.decide == "top" else list(zip(order, order[1:], strict=False))
    )
    return [
        (names[a], names[b])
        for a, b in pairs
        if not _settled(difference(values[a], values[b], training), level, tolerance)
    ]


def _settled(found: Estimate, level: float, tolerance: float) -> bool:
    if found.se == 0.0:
        return True
    half = -float(stdtrit(found.freedom, level)) * found.se
    return found.value > half or found.value + half < tolerance
