"""How near one encoder's vectors are to another's, what batch mates change, and how fast it runs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_models.cards import Side
from onnx_models.errors import EncoderError
from onnx_models.running.session import Encoder

NEIGHBOURS = 10
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Cosines of an encoder's vectors to a reference's: mean, first percentile, and the lowest; neighbours kept."""

    cosine_mean: float
    cosine_p1: float
    cosine_min: float
    neighbours_kept: float


@dataclass(frozen=True)
class Measured:
    """One encoder over some texts.

    Attributes:
        texts: their number.  tokens: after truncation.  padded_over_real: tokens run over real tokens.
        same_alone: share of texts with equal bits alone and in a batch, were they batched.
        largest_change: largest difference of a component between the two.
        seconds: processor seconds of the pass that the card asks for.
    """

    texts: int
    tokens: int
    padded_over_real: float
    same_alone: float
    largest_change: float
    seconds: float

    @property
    def texts_per_second(self) -> float:
        """Texts per core-second."""
        return self.texts / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Real tokens per core-second."""
        return self.tokens / self.seconds


def likeness(vectors: Vectors, reference: Vectors) -> Likeness:
    """Compare unit vectors (n, d) with a reference's (n, d), row by row.

    `neighbours_kept` is the mean share of each text's ten nearest other texts that both agree on (fewer where n is small).

    Raises:
        EncoderError: fewer than 2 texts, or vectors of different lengths.
    """
    if len(vectors) < 2 or vectors.shape != reference.shape:
        raise EncoderError(
            f"vectors {vectors.shape} and {reference.shape} cannot be compared: give 2 texts or more, and equal dims"
        )
    cosines = np.einsum("ij,ij->i", vectors, reference)
    k = min(NEIGHBOURS, len(vectors) - 1)
    ours, theirs = _nearest(vectors, k), _nearest(reference, k)
    kept = np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(ours, theirs, strict=True)])
    return Likeness(float(cosines.mean()), float(np.quantile(cosines, 0.01)), float(cosines.min()), float(kept))


def _nearest(vectors: Vectors, k: int) -> NDArray[np.intp]:
    rows = []
    for start in range(0, len(vectors), 1024):
        scores = vectors[start : start + 1024] @ vectors.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        rows.append(np.argpartition(-scores, k - 1, axis=1)[:, :k])
    return np.concatenate(rows)


def measure(encoder: Encoder, texts: Sequence[str], side: Side = "passage") -> tuple[Vectors, Measured]:
    """Return the vectors of texts, float32 (n, d), as a run would make them, and what was measured on the way.

    Raises:
        EncoderError: no texts.
    """
    if not texts:
        raise EncoderError("no texts to measure with: give a file with one text a line, or with a column `text`")
    encoder.encode(texts[:1], side)
    passes = {}
    for together in (True, False):
        fresh = encoder.batched(together)
        started = time.process_time()
        vectors = fresh.encode(texts, side)
        passes[together] = (vectors, time.process_time() - started, fresh.tokens_seen)
    ours, seconds, seen = passes[encoder.card.batch_invariant]
    same = (passes[True][0] == passes[False][0]).all(axis=1)
    change = float(np.abs(passes[True][0] - passes[False][0]).max())
    return ours, Measured(len(texts), seen.real, seen.padded / max(1, seen.real), float(same.mean()), change, seconds)
