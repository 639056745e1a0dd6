"""A residual linear adapter on frozen query embeddings, trained with InfoNCE: fine-tuning that two cores can repeat.

    u = z + z W        v = u / |u|        logits = <v, positive or negative> / tau        loss = cross-entropy

W (d, d) starts at zero, so that zero steps are the frozen encoder. The negatives of an example are its source's, and
with `in_batch` also every other example's positive, less those that are labelled relevant to its query. Optimiser:
Adam (Kingma and Ba, 2015), its usual constants, no weight decay, constant learning rate. float32, NumPy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCH = 256
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Training data of one source.

    Attributes:
        queries: (Q, d) float32 unit vectors.  documents: (P, d) float32 unit vectors.
        query, positive: (n,) rows of the two.
        negatives: (n, k) rows of `documents`, -1 for none.
        relevant: (Q, m) rows of `documents` that are labelled relevant to each query, -1 for none.
    """

    queries: Floats
    documents: Floats
    query: Indices
    positive: Indices
    negatives: Indices
    relevant: Indices


def adapted(queries: Floats, weights: Floats) -> Floats:
    """Return normalised z + z W: (n, d)."""
    moved = queries + queries @ weights
    unit: Floats = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


def train(
    examples: Examples, temperature: float, rate: float, steps: Sequence[int], *, in_batch: bool, seed: int
) -> Iterator[Floats]:
    """Train and yield the weights (d, d) after each of `steps`, ascending; a seed gives one order of the examples.

    Args:
        examples: what to train on; examples without a negative are only used with `in_batch`.
        temperature: tau.  rate: Adam's learning rate.
        steps: when to stop and look; 0 yields the zeros that training starts from.
        in_batch: whether other examples' positives are negatives too.
        seed: of the order.
    """
    dim = examples.queries.shape[1]
    weights, mean, square = (np.zeros((dim, dim), dtype=np.float32) for _ in range(3))
    rows = np.arange(len(examples.query))
    if not in_batch:
        rows = rows[(examples.negatives >= 0).any(axis=1)]
    batches = _batches(rows, np.random.default_rng(seed))
    done = 0
    for stop in steps:
        while done < stop and len(rows):
            done += 1
            _, gradient = loss_and_gradient(examples, next(batches), weights, temperature, in_batch=in_batch)
            mean += (1 - BETA1) * (gradient - mean)
            square += (1 - BETA2) * (gradient * gradient - square)
            step = rate * np.sqrt(1 - BETA2**done) / (1 - BETA1**done)
            weights -= np.float32(step) * mean / (np.sqrt(square) + np.float32(EPSILON))
        yield weights.copy()


def loss_and_gradient(
    examples: Examples, rows: Indices, weights: Floats, temperature: float, *, in_batch: bool
) -> tuple[float, Floats]:
    """Return the mean InfoNCE loss of some examples (nats) and its gradient in the weights (d, d)."""
    z = examples.queries[examples.query[rows]]
    moved = z + z @ weights
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    v = moved / length
    positives = examples.documents[examples.positive[rows]]
    chosen = examples.negatives[rows]
    negatives = examples.documents[chosen]
    logits = [(v * positives).sum(axis=1, keepdims=True), np.matmul(negatives, v[:, :, None])[:, :, 0]]
    logits[1][chosen < 0] = -np.inf
    if in_batch:
        others = v @ positives.T
        known = examples.relevant[examples.query[rows]]
        others[(known[:, :, None] == examples.positive[rows]).any(axis=1)] = -np.inf
        logits.append(others)
    scores = np.concatenate(logits, axis=1) / np.float32(temperature)
    top = scores.max(axis=1, keepdims=True)
    exponents = np.exp(scores - top)
    total = exponents.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total) + top - scores[:, :1]))
    share = exponents / total
    share[:, 0] -= 1.0
    last = 1 + chosen.shape[1]
    toward = share[:, :1] * positives + np.matmul(share[:, None, 1:last], negatives)[:, 0, :]
    if in_batch:
        toward += share[:, last:] @ positives
    tangent = (toward - v * (toward * v).sum(axis=1, keepdims=True)) / length
    gradient: Floats = z.T @ (tangent / np.asarray(temperature * len(rows), dtype=z.dtype))
    return loss, gradient


def _batches(rows: Indices, random: np.random.Generator) -> Iterator[Indices]:
    """Yield batches for ever: each pass over the examples in a new order, the last batch of a pass short."""
    while True:
        order = random.permutation(rows)
        for start in range(0, len(order), BATCH):
            yield order[start : start + BATCH]
