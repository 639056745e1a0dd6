"""Identities of texts and triples, folds, buckets and sample positions.

Ids in bulk are NumPy arrays of dtype S16: NumPy compares them as 16 bytes in order, which is what sorting and
searching need (only taking a single value out drops trailing zero bytes; `as_arrow` and `tobytes` do not).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pyarrow as pa

Side = Literal["query", "passage"]
ID_BYTES = 16
ID_TYPE = pa.binary(ID_BYTES)
NO_ID = bytes(ID_BYTES)
_PAIRS = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2")
_NO_PAIR = 256
_BYTES = np.full(1 << 16, _NO_PAIR, dtype=np.uint16)  # two digits, as one number of this machine -> the byte
_BYTES[_PAIRS.view(np.uint16)] = np.arange(256)
_HASHED_AT_ONCE = 1000  # texts that are there once more, as bytes of Python's
_PREFIX = {"query": b"q", "passage": b"p"}
_BLANKS = re.compile("[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")


def tidy(source: str) -> str:
    """Return the one spelling of a source's name: composed characters (NFC), no blanks around it, single ones in it."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", source).strip())


def text_id(side: Side, text: str) -> bytes:
    """Return the first 16 bytes of SHA-256 over the side's byte and the exact UTF-8 text (or user id)."""
    return hashlib.sha256(_PREFIX[side] + text.encode("utf-8")).digest()[:ID_BYTES]


def text_ids(side: Side, texts: pa.Array) -> np.ndarray:
    """Return the `text_id` of each string, S16 (n,). `texts`: an Arrow array of strings without nulls."""
    prefix = _PREFIX[side]
    binaries = (
        texts.slice(start, _HASHED_AT_ONCE).cast(pa.large_binary()) for start in range(0, len(texts), _HASHED_AT_ONCE)
    )
    digests = [hashlib.sha256(prefix + text).digest() for part in binaries for text in part.to_pylist()]
    halves: np.ndarray = np.frombuffer(b"".join(digests), dtype="S16")[::2]
    return np.ascontiguousarray(halves)


def user_key(identifier: str) -> bytes:
    """Return the 16-byte key under which a user's own id is looked up."""
    return hashlib.sha256(b"u" + identifier.encode("utf-8")).digest()[:ID_BYTES]


def id_array(ids: Iterable[bytes]) -> np.ndarray:
    """Return 16-byte ids as an S16 array of shape (n,)."""
    return np.frombuffer(b"".join(ids), dtype="S16")


def from_arrow(column: Any) -> np.ndarray:
    """Return an Arrow column of ids as an S16 array (a view where it is one chunk of 16-byte binaries).

    Taken are binaries, UUIDs (tables of layout 1), and the text of published tables.
    """
    if pa.types.is_string(column.type):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return np.concatenate([np.empty(0, dtype="S16"), *map(_from_text, chunks)])
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], ID_TYPE)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type != ID_TYPE:  # DuckDB gives binaries of any length back
        array = array.cast(ID_TYPE)
    if len(array) == 0:
        return np.empty(0, dtype="S16")
    data = array.buffers()[1]
    return np.frombuffer(data, dtype="S16", count=len(array), offset=array.offset * ID_BYTES)


def as_arrow(ids: np.ndarray) -> pa.Array:
    """Return an S16 array as an Arrow array of 16-byte binaries."""
    return pa.Array.from_buffers(ID_TYPE, len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids).tobytes())])


def as_uuid(ids: np.ndarray) -> pa.Array:
    """Return an S16 array as Arrow UUIDs: in DuckDB ids of 16 bytes, in the same order."""
    return pa.ExtensionArray.from_storage(pa.uuid(), as_arrow(ids))


def as_text(ids: np.ndarray) -> pa.Array:
    """Return an S16 array as the text that published tables hold: 32 lower-case hexadecimal digits, in the same order."""
    digits = _PAIRS[np.ascontiguousarray(ids).view(np.uint8)]
    offsets = np.arange(0, 2 * ID_BYTES * (len(ids) + 1), 2 * ID_BYTES, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(ids), [None, pa.py_buffer(offsets), pa.py_buffer(digits)])


def _from_text(array: pa.Array) -> np.ndarray:
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, 4 * array.offset) if len(array) else None
    if offsets is None:
        return np.empty(0, dtype="S16")
    if array.null_count or (np.diff(offsets) != 2 * ID_BYTES).any():
        raise ValueError(f"an id is not of {2 * ID_BYTES} hexadecimal digits")
    found = _BYTES[np.frombuffer(array.buffers()[2], np.uint8, 2 * ID_BYTES * len(array), offsets[0]).view(np.uint16)]
    if (found == _NO_PAIR).any():
        raise ValueError(f"an id is not of {2 * ID_BYTES} hexadecimal digits")
    return found.astype(np.uint8).view("S16")


def words(ids: np.ndarray) -> np.ndarray:
    """Return ids as uint64 of shape (n, 2): first and last 8 bytes, big-endian."""
    return np.ascontiguousarray(ids).view(">u8").reshape(-1, 2).astype(np.uint64)


def folds_of(query_ids: np.ndarray, folds: int) -> np.ndarray:
    """Return each query's fold: its first 8 bytes modulo `folds`, int32 of shape (n,)."""
    folded: np.ndarray = (words(query_ids)[:, 0] % np.uint64(folds)).astype(np.int32)
    return folded


def positions_of(query_ids: np.ndarray) -> np.ndarray:
    """Return each query's sample position as uint64 (divide by 2^64 for the share in [0, 1))."""
    return words(query_ids)[:, 1]


def buckets_of(ids: np.ndarray, buckets: int) -> np.ndarray:
    """Return each text's bucket, int32: its first byte scaled to `buckets`, so buckets are ranges in id order."""
    first = np.ascontiguousarray(ids).view(np.uint8).reshape(-1, ID_BYTES)[:, 0]
    return (first.astype(np.int32) * buckets) >> 8


def unique(ids: np.ndarray) -> np.ndarray:
    """Return the distinct ids in ascending order."""
    ordered: np.ndarray = ids[order_of(ids)]
    distinct: np.ndarray = ordered[first_of_run(ordered)]
    return distinct


def unique_inverse(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct ids in ascending order, and each input's index among them (int32)."""
    order = order_of(ids)
    ordered = ids[order]
    first = first_of_run(ordered)
    inverse = np.empty(len(ids), dtype=np.int32)
    inverse[order] = np.cumsum(first, dtype=np.int32) - 1
    return ordered[first], inverse


def order_of(ids: np.ndarray) -> np.ndarray:
    """Return the stable ascending order of ids. Sorting integers is much faster than sorting byte strings."""
    pair = words(ids)
    order = np.argsort(pair[:, 0], kind="stable")
    head, tail = pair[order, 0], pair[order, 1]
    tie = (head[1:] == head[:-1]) & (tail[1:] < tail[:-1])
    return np.lexsort((pair[:, 1], pair[:, 0])) if tie.any() else order


def first_of_run(ordered: np.ndarray) -> np.ndarray:
    """Return where each distinct value of an ordered array is met first, bool (n,)."""
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return first


def newly_met(at: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the rows that found something (`at`, -1 for nothing) that is not `present` yet.

    The last comes first: what is assigned by these rows is of the first one where several have found the same.
    """
    rows = np.flatnonzero(at >= 0)
    new: np.ndarray = rows[~present[at[rows]]][::-1]
    return new


def lookup(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return each wanted id's index in a sorted array of distinct ids, int64, -1 where it is not there."""
    if not len(table):
        return np.full(len(wanted), -1, dtype=np.int64)
    index = np.searchsorted(table, wanted)
    index[index == len(table)] = 0
    return np.where(table[index] == wanted, index, -1)
