"""Tokenizers of encoders, on the `tokenizers` library.

Covers: token ids as the encoder wants them, and word pieces for lexical overlap.
Does not cover: padding, which is the session's work.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from numpy.typing import NDArray

from onnx_models.cards import EncoderCard
from onnx_models.errors import EncoderError


class TextTokenizer:
    """A card's tokenizer. Runs in the calling thread only: workers own one core each."""

    def __init__(self, card: EncoderCard) -> None:
        """Load and verify the tokenizer file. Raises EncoderError when it is unusable."""
        path = card.tokenizer.verified_path()
        self._truncated = _load(path)
        self._truncated.enable_truncation(card.max_tokens)
        self._whole = _load(path)
        self._whole.no_truncation()

    def token_ids(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return each text's token ids (int32), special tokens included, cut to max_tokens."""
        # encode_batch would start a thread per core of the machine.
        encode = self._truncated.encode
        return [np.array(encode(text).ids, dtype=np.int32) for text in texts]

    def wordpieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return each text's token strings, whole (not cut), without special tokens."""
        encode = self._whole.encode
        return [list(encode(text, add_special_tokens=False).tokens) for text in texts]


def _load(path: Path) -> tokenizers.Tokenizer:
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise EncoderError(
            f"{path} is not a tokenizer that the `tokenizers` library can read ({error}): "
            "give a tokenizer.json as saved by it"
        ) from error
    # Files often carry padding and truncation to 128 from training.
    tokenizer.no_padding()
    return tokenizer
