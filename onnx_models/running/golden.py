"""Golden vectors: a few texts with the vectors that the encoder must give for them.

They catch what makes every number of a run wrong without any error: another pooling, prefix,
truncation or tokenizer than the card's, a damaged export, a broken kernel.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_models.cards import EncoderCard, Side
from onnx_models.errors import EncoderError

MIN_COSINE = 0.9995
"""Least cosine to a golden vector.

Room for rounding: another CPU or ONNX Runtime may sum in another order. On the default card a
wrong pooling gave at most 0.86, a needless prefix 0.93 to 0.994, max_tokens 128 gave 0.965 on the
long text; max_tokens 254 for 256 (0.9997) is too small a difference to be caught.
"""


@dataclass(frozen=True, slots=True)
class GoldenVector:
    """One text, its side, and its vector: float32, (dim,)."""

    side: Side
    text: str
    vector: NDArray[np.float32]


def load_golden(card: EncoderCard) -> tuple[GoldenVector, ...]:
    """Read a card's golden vectors; empty when the card names none.

    The file is JSON: a list of objects with `side`, `text` and `vector`.

    Raises:
        EncoderError: the file is missing or malformed, or a vector is not of length dim.
    """
    if not card.golden:
        return ()
    path = card.folder / card.golden
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        golden = tuple(
            GoldenVector(row["side"], row["text"], np.array(row["vector"], dtype=np.float32)) for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{path} does not hold golden vectors ({error!r}): it must be a JSON list of {{side, text, vector}}"
        ) from error
    for row in golden:
        card.prefix(row.side)
        if row.vector.shape != (card.dim,):
            raise EncoderError(
                f"{path}: the vector of {row.text[:40]!r} has shape {row.vector.shape}, "
                f"the card says dim = {card.dim}: correct either"
            )
    return golden


def check_golden(card: EncoderCard, encode: Callable[[Sequence[str], Side], NDArray[np.float32]]) -> float:
    """Compare an encoder with its golden vectors.

    Args:
        card: the encoder's card.
        encode: from texts and side to vectors, float32, (n, dim).

    Returns:
        The lowest cosine found; 1.0 when the card has no golden vectors.

    Raises:
        EncoderError: a cosine is below `MIN_COSINE`; the message says which text and side.
    """
    lowest = 1.0
    for number, row in enumerate(load_golden(card)):
        vector = encode([row.text], row.side)[0]
        norms = float(np.linalg.norm(vector)) * float(np.linalg.norm(row.vector))
        cosine = float(vector @ row.vector) / norms if norms > 0 else 0.0
        if not cosine >= MIN_COSINE:
            raise EncoderError(
                f"encoder {card.name!r} fails golden vector {number} ({row.side} "
                f"{row.text[:40]!r}): cosine {cosine:.6f}, required is {MIN_COSINE} or more: check "
                f"the card's pooling, prefixes, max_tokens and files ({card.folder})"
            )
        lowest = min(lowest, cosine)
    return lowest
