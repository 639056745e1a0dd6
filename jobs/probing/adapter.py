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
MOST_NEGATIVES = 8
"""Negatives of an example in one step; of more, so many are drawn anew each time."""
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


class Room:
    """Memory for one training: large arrays that are made anew in each step cost as much as filling them."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.floating]] = {}

    def of(self, name: str, shape: tuple[int, ...], kind: np.dtype[np.floating]) -> NDArray[np.floating]:
        """Return an array of this shape; its content is whatever the last step left."""
        size = int(np.prod(shape))
        held = self._arrays.get(name)
        if held is None or held.size < size or held.dtype != kind:
            held = self._arrays[name] = np.empty(size, kind)
        return held[:size].reshape(shape)


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
    weights, mean, square, scratch, down = (np.zeros((dim, dim), dtype=np.float32) for _ in range(5))
    rows = np.arange(len(examples.query))
    if not in_batch:
        rows = rows[(examples.negatives >= 0).any(axis=1)]
    random = np.random.default_rng(seed)
    batches, room = _batches(rows, random), Room()
    done = 0
    for stop in steps:
        while done < stop and len(rows):
            done += 1
            batch = next(batches)
            chosen = drawn(examples.negatives[batch], random)
            _, gradient = loss_and_gradient(examples, batch, weights, temperature, chosen, in_batch=in_batch, room=room)
            np.subtract(gradient, mean, out=scratch)
            mean += np.multiply(scratch, np.float32(1 - BETA1), out=scratch)
            np.subtract(np.multiply(gradient, gradient, out=scratch), square, out=scratch)
            square += np.multiply(scratch, np.float32(1 - BETA2), out=scratch)
            step = rate * np.sqrt(1 - BETA2**done) / (1 - BETA1**done)
            np.add(np.sqrt(square, out=scratch), np.float32(EPSILON), out=scratch)
            weights -= np.divide(np.multiply(mean, np.float32(step), out=down), scratch, out=down)
        yield weights.copy()


def drawn(negatives: Indices, random: np.random.Generator) -> Indices:
    """Return at most MOST_NEGATIVES of each row's negatives (n, k), -1 for none, drawn without replacement."""
    if negatives.shape[1] <= MOST_NEGATIVES:
        return negatives
    place = random.random(negatives.shape, dtype=np.float32)
    place[negatives < 0] = 2.0
    first = np.argpartition(place, MOST_NEGATIVES - 1, axis=1)[:, :MOST_NEGATIVES]
    return np.take_along_axis(negatives, first, axis=1)


def loss_and_gradient(
    examples: Examples,
    rows: Indices,
    weights: Floats,
    temperature: float,
    chosen: Indices,
    *,
    in_batch: bool,
    room: Room | None = None,
) -> tuple[float, Floats]:
    """Return the mean InfoNCE loss of some examples (nats) and its gradient in the weights (d, d).

    Args:
        rows: (b,) the examples.  chosen: (b, k) the negatives of each, rows of the documents, -1 for none.
        room: memory that earlier steps have used; the gradient lies in it until the next one.
    """
    room, kind, dim = room or Room(), examples.queries.dtype, examples.queries.shape[1]
    count, width = chosen.shape

    def take(name: str, of: Floats, at: Indices) -> Floats:
        return np.take(of, at.ravel(), axis=0, out=room.of(name, (at.size, dim), kind), mode="clip")

    z = take("z", examples.queries, examples.query[rows])
    positives = take("positives", examples.documents, examples.positive[rows])
    negatives = take("negatives", examples.documents, np.maximum(chosen, 0)).reshape(count, width, dim)
    v = np.matmul(z, weights, out=room.of("v", (count, dim), kind))
    v += z
    length = np.sqrt(np.einsum("ij,ij->i", v, v))[:, None]
    v /= length
    logits = [np.einsum("ij,ij->i", v, positives)[:, None], np.matmul(negatives, v[:, :, None])[:, :, 0]]
    logits[1][chosen < 0] = -np.inf
    if in_batch:
        others = v @ positives.T
        known = examples.relevant[examples.query[rows]]
        others[(known[:, :, None] == examples.positive[rows]).any(axis=1)] = -np.inf
        logits.append(others)
    scores = np.concatenate(logits, axis=1) / np.asarray(temperature, kind)
    top = scores.max(axis=1, keepdims=True)
    exponents = np.exp(scores - top)
    total = exponents.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(total) + top - scores[:, :1]))
    share = exponents / total
    share[:, 0] -= 1.0
    last = 1 + width
    toward = np.matmul(share[:, None, 1:last], negatives, out=room.of("toward", (count, 1, dim), kind))[:, 0, :]
    if in_batch:
        toward += share[:, last:] @ positives
    toward += np.multiply(share[:, :1], positives, out=positives)
    along = np.einsum("ij,ij->i", toward, v)[:, None]
    toward -= np.multiply(v, along, out=v)
    toward /= length * np.asarray(temperature * count, kind)
    return loss, np.matmul(z.T, toward, out=room.of("gradient", (dim, dim), kind))


def _batches(rows: Indices, random: np.random.Generator) -> Iterator[Indices]:
    """Yield batches for ever: each pass over the examples in a new order, the last batch of a pass short."""
    while True:
        order = random.permutation(rows)
        for start in range(0, len(order), BATCH):
            yield order[start : start + BATCH]
