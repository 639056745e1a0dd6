"""Scripts that are written without spaces: their runs of characters, as character bigrams.

Han, hiragana, katakana, Thai, Lao, Khmer and Burmese; what Lucene's CJK analysis does with the first three is done with all
of them. A run may mix them ("東京タワー" is one); anything else ends it: a letter of another script, a digit, punctuation, a
space. A run of one character is that character. Full-width letters and digits count as the plain ones, half-width
kana as kana, and a kana with its voicing mark as one character. Hangul is written with spaces: its words are words.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import polars as pl
import pyarrow as pa

# marks belong to a run (Thai vowels and tones are marks), digits and punctuation of these scripts do not; the rest stands
# by itself because it is of several scripts: 〆, repeat marks, 〼, voicing marks, and the long vowel ー
CHARACTER = (
    r"[[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}&&[\p{L}\p{M}\p{Nl}]]"
    r"\x{3006}\x{3031}-\x{3035}\x{303C}\x{3099}\x{309A}\x{30FC}]"
)

# the first two bytes in UTF-8 of every such character and of every full-width or half-width form, in ranges; blocks that
# hold others as well only cost time
_BLOCKS = (
    (0xE0B8, 0xE0BB), (0xE180, 0xE182), (0xE19E, 0xE19F), (0xE380, 0xE9BF), (0xEAA7, 0xEAA7), (0xEAA9, 0xEAA9),
    (0xEFA4, 0xEFAB), (0xEFBC, 0xEFBE), (0xF091, 0xF091), (0xF096, 0xF096), (0xF09A, 0xF09B), (0xF0A0, 0xF0BF),
)  # fmt: skip
_LOWEST = 0xE0
_CACHE_BYTES = 1 << 17
_OPENS = np.zeros(1 << 16, dtype=bool)
for _first, _last in _BLOCKS:
    _OPENS[_first : _last + 1] = True


def _widths() -> dict[str, str]:
    """Return what full-width letters and digits, half-width kana, and kana with a voicing mark beside them stand for."""
    half = [chr(code) for code in range(0xFF65, 0xFFA0)]
    wide = [chr(code) for code in range(0xFF10, 0xFF5B)]
    marked = [
        kana + mark
        for kana in [*half, *map(chr, range(0x3041, 0x3100))]
        for mark in ("\u3099", "\u309a", "\uff9e", "\uff9f")
    ]
    # two characters before the one that they begin with: of several forms at one place the first is taken
    meant = {form: unicodedata.normalize("NFKC", form) for form in [*marked, *half, *filter(str.isalnum, wide)]}
    return {form: plain for form, plain in meant.items() if len(plain) == 1}


_WIDTHS = _widths()
_WIDTH = r"[\x{FF10}-\x{FF19}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{FF65}-\x{FF9F}\x{3099}\x{309A}]"


def unspaced(texts: pl.Series) -> np.ndarray:
    """Return which texts may hold such characters or forms, bool (n,): all that do, and few others. Null: False."""
    found = (texts.str.len_bytes() > texts.str.len_chars()).fill_null(False).to_numpy().copy()
    if not found.any():
        return found
    column = texts.filter(pl.Series(found)).to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    data = np.frombuffer(column.buffers()[2], dtype=np.uint8)[: offsets[-1]]
    at = np.concatenate([_opened(data, start) for start in range(0, len(data), _CACHE_BYTES)])
    found[found] = np.diff(np.searchsorted(at, offsets)) > 0
    return found


def _opened(data: np.ndarray, start: int) -> np.ndarray:
    """Return where characters of such blocks begin in _CACHE_BYTES bytes from `start` on, int64."""
    lead, second = data[start : start + _CACHE_BYTES], data[start + 1 : start + 1 + _CACHE_BYTES]
    at = np.flatnonzero(lead >= _LOWEST)
    opened: np.ndarray = start + at[_OPENS[(lead[at].astype(np.uint16) << 8) | second[at]]]
    return opened


def cut_runs(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return texts with widths folded and a space in place of every run, and their runs' bigrams, a list for each text.

    `texts` holds no null. One without such characters keeps all but its widths.
    """
    wide = texts.str.contains(_WIDTH).arg_true()
    folded = texts.scatter(wide, texts.gather(wide).str.replace_many(_WIDTHS, leftmost=True))
    runs = folded.str.extract_all(f"{CHARACTER}+")
    flat = runs.explode(empty_as_null=False)
    # every character twice, less the first of all: a-bb-cc-d holds ab, bc, cd as pairs; of a run of one both stay
    doubled = flat.str.replace_all("(?s).", "$0$0")
    several = flat.str.len_chars() > 1
    pairs = pl.select(pl.when(several).then(doubled.str.slice(1)).otherwise(flat)).to_series()
    tokens = pl.select(
        pl.when(several).then(pairs.str.extract_all("(?s)..")).otherwise(pl.concat_list(flat))
    ).to_series()
    offsets = _ends(tokens)[_ends(runs)]
    values = tokens.explode(empty_as_null=False).to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values.cast(pa.large_string()))
    return folded.str.replace_all(f"{CHARACTER}+", " "), pl.Series(values=lists, dtype=pl.List(pl.String))


def _ends(lists: pl.Series) -> np.ndarray:
    """Return where each list begins in all of them behind one another, and the end, int64 (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)])
