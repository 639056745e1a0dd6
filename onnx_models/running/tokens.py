"""Tokenizers of encoders, on the `tokenizers` library.

Covers: token ids as the encoder wants them, and word pieces for lexical overlap.
Does not cover: padding, which is the session's work.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        path = self._path = card.tokenizer.verified_path()
        self._truncated, self._whole = _load(path), _load(path)
        self._most = card.max_tokens
        with _naming(path):
            self._truncated.enable_truncation(card.max_tokens)
            self._whole.no_truncation()

    def token_ids(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return each text's token ids (int32), special tokens included, cut to max_tokens."""
        # encode_batch would start a thread per core of the machine.
        encode = self._truncated.encode
        with _naming(self._path):
            rows = [np.array(encode(text).ids, dtype=np.int32) for text in texts]
        if max(map(len, rows), default=0) > self._most:
            raise EncoderError(
                f"{self._path} puts more special tokens around a text than the {self._most} tokens that it may have: "
                "give a tokenizer.json as saved by the `tokenizers` library"
            )
        return rows

    def wordpieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return each text's token strings, whole (not cut), without special tokens."""
        encode = self._whole.encode
        with _naming(self._path):
            return [list(encode(text, add_special_tokens=False).tokens) for text in texts]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what the library raises into an EncoderError: bare Exception, and panics, which are no Exception."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        why = " ".join(str(error).split())[:200]
        raise EncoderError(
            f"{path} is not a tokenizer that the `tokenizers` library can work with ({why}): give a tokenizer.json as saved by it"
        ) from (error if isinstance(error, Exception) else None)


def _load(path: Path) -> tokenizers.Tokenizer:
    with _naming(path):
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    # Files often carry padding and truncation to 128 from training.
    tokenizer.no_padding()
    return tokenizer
