"""From token counts to batches: a pure function, so that a run can be repeated.

Sorting by length keeps padding low. A budget of 512 padded tokens took 7 to 12 % less time than
1024 on the default encoder; one text a run takes 1.9 times as long on short queries, and no longer
on passages.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BATCHING_VERSION = "sorted/1"
"""Name of the rule below; part of every card's fingerprint."""

TOKEN_BUDGET = 512
"""Most padded tokens in a batch (a longer text still gets a batch of its own)."""


def token_batches(lengths: Sequence[int] | NDArray[np.integer], budget: int = TOKEN_BUDGET) -> list[NDArray[np.intp]]:
    """Split texts into batches of at most `budget` padded tokens.

    Texts are taken in order of length, equal lengths in input order, and a batch is closed when
    rows x longest row would exceed the budget. Budget 1 gives one text a batch.

    Args:
        lengths: token counts, shape (n,).
        budget: most padded tokens in a batch, at least 1.

    Returns:
        Index arrays (intp) that together hold each of 0..n-1 once; shortest texts first.

    Raises:
        ValueError: the budget is below 1.
    """
    if budget < 1:
        raise ValueError(f"budget is {budget}, allowed is 1 or more padded tokens")
    # An empty text counts as one token: it still takes a row.
    counts = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    order = np.argsort(counts, kind="stable")
    batches: list[NDArray[np.intp]] = []
    start = 0
    for stop, count in enumerate(counts[order].tolist()):
        if stop > start and (stop - start + 1) * count > budget:
            batches.append(order[start:stop])
            start = stop
    if start < len(order):
        batches.append(order[start:])
    return batches
