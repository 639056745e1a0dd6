"""Token sets of texts for the lexical side: `word`, `char3`, or the encoder's `wordpiece`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.ids import first_of_run
from jobs.unspaced import cut_runs, unspaced

WORD = r"[\p{L}\p{N}_]+"
TOKENS = 2
"""Raised when a tokenizer finds other tokens than before: a part of a run's identity, and in its manifest."""


def token_lists(texts: pl.Series, tokenizer: str, encoder: str | None) -> pa.ListArray:
    """Return every text's tokens as an Arrow list of strings (repeats are kept; null where the text is null).

    `word`: maximal runs of letters, digits and underscore, in lower case, and of scripts without spaces the bigrams of
    their runs (jobs/unspaced.py), behind the words. `char3`: the windows of three characters of the lower-case text,
    white space included (a shorter text is one token). `wordpiece`: the encoder's own tokens, untruncated, without
    special ones.
    """
    if tokenizer == "word":
        lists = _words(texts.str.to_lowercase())
    elif tokenizer == "char3":
        lists = pl.Series([_windows(text) for text in texts.to_list()], dtype=pl.List(pl.String))
    else:
        lists = pl.Series(_wordpieces(texts.to_list(), str(encoder)), dtype=pl.List(pl.String))
    array: Any = lists.to_arrow(compat_level=pl.CompatLevel.oldest())
    return array if isinstance(array, pa.ListArray) else array.cast(pa.list_(pa.string()))


def _words(lower: pl.Series) -> pl.Series:
    cut = unspaced(lower)
    if not cut.any():
        return lower.str.extract_all(WORD)
    rest, bigrams = cut_runs(lower.filter(pl.Series(cut)))
    there = pl.select(pl.concat_list(rest.str.extract_all(WORD), bigrams)).to_series()
    words = lower.filter(pl.Series(~cut)).str.extract_all(WORD)
    place = np.argsort(np.argsort(cut, kind="stable"), kind="stable")
    return pl.concat([words, there.alias(words.name)]).gather(place)


def _windows(text: str | None) -> list[str] | None:
    if text is None:
        return None
    lower = text.lower()
    return [lower[i : i + 3] for i in range(max(len(lower) - 2, 1))] if lower else []


def _wordpieces(texts: Sequence[str | None], encoder: str) -> list[list[str] | None]:
    from onnx_models.cards import load_card
    from onnx_models.running.tokens import TextTokenizer

    present = [text for text in texts if text is not None]
    pieces = iter(TextTokenizer(load_card(encoder)).wordpieces(present))
    return [None if text is None else next(pieces) for text in texts]


def as_sets(offsets: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (offsets, codes) of lists with each list's codes ascending and each once. Codes are int32, offsets int64."""
    owner = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
    keys = np.sort((owner << 32) | codes.astype(np.int64))
    keys = keys[first_of_run(keys)]
    counts = np.bincount(keys >> 32, minlength=len(offsets) - 1)
    return np.concatenate([[0], np.cumsum(counts)]), (keys & 0xFFFFFFFF).astype(np.int32)
