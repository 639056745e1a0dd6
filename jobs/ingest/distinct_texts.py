"""Distinct texts on their way to their buckets: out of columns of strings, and through a sink into files by bucket."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.ids import NO_ID, Side, as_arrow, buckets_of, from_arrow, order_of, text_ids, words
from jobs.work.files import write_partitions, writing
from jobs.work.job import Job
from jobs.work.layout import TEXTS_SCHEMA, WorkFile

SEEN = 1 << 20
# Python's white space is that of Unicode and the four separators of ASCII.
_SOMETHING = r"[^\s\x1c-\x1f]"


def not_blank(texts: pl.Series) -> np.ndarray:
    """Return whether each string has more than white space (`str.strip()` leaves something), bool (n,); False for null."""
    found: np.ndarray = texts.str.contains(_SOMETHING).fill_null(False).to_numpy()
    return found


def plain_keys(texts: pl.Series) -> np.ndarray:
    """Return what texts that differ in case and white space alone have in common, uint64 (n,); 0 for null and blank ones."""
    plain = texts.str.to_lowercase().str.replace_all(r"[\s\x1c-\x1f]+", " ").str.strip_chars()
    there = not_blank(texts)
    keys = np.zeros(len(texts), dtype=np.uint64)
    values = plain.filter(pl.Series(there, dtype=pl.Boolean)).to_arrow(compat_level=pl.CompatLevel.oldest())
    keys[there] = words(text_ids("passage", values))[:, 0]
    return keys


def distinct_texts(side: Side, texts: pl.Series) -> tuple[np.ndarray, pa.Table]:
    """Return each string's row among the distinct ones, int32 (n,), and those: a table TEXTS_SCHEMA without user ids.

    A null and a string of white space have no row: -1.
    """
    encoded = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
    values, codes = encoded.dictionary, encoded.indices.fill_null(-1).to_numpy()
    something = not_blank(pl.Series(pl.from_arrow(values), dtype=pl.String))
    if not something.all():
        rows = np.cumsum(something, dtype=np.int32) - np.int32(1)
        codes = np.append(np.where(something, rows, np.int32(-1)), np.int32(-1))[codes]
        values = values.filter(pa.array(something))
    owners = pa.nulls(len(values), pa.large_string())
    columns = [as_arrow(text_ids(side, values)), pa.repeat(side, len(values)), owners, values]
    return codes, pa.table(columns, schema=TEXTS_SCHEMA)


def ids_by_code(texts: pa.Table, codes: np.ndarray) -> np.ndarray:
    """Return the id of each code's text (TEXTS_SCHEMA), S16 (n,), and NO_ID for -1."""
    ids: np.ndarray = np.append(from_arrow(texts["id"]), np.array([NO_ID], "S16"))[codes]
    return ids


def with_users(texts: pa.Table, codes: np.ndarray, users: pl.Series) -> pa.Table:
    """Return texts (TEXTS_SCHEMA) with the smallest user id that is given to each. `codes`: its row for each of `users`, or -1."""
    at = TEXTS_SCHEMA.get_field_index("user_id")
    return texts.set_column(at, TEXTS_SCHEMA.field(at), smallest_users(codes, users, len(texts)))


def smallest_users(codes: np.ndarray, users: pl.Series, count: int) -> pa.Array:
    """Return the smallest user id of each code 0..count-1, null where it has none. Codes below 0 are left out."""
    if users.null_count() == len(users):
        return pa.nulls(count, pa.large_string())
    given = pl.DataFrame({"code": codes, "user": users}).filter((pl.col("code") >= 0) & pl.col("user").is_not_null())
    least = given.group_by("code").agg(pl.col("user").min())
    every = pl.DataFrame({"code": np.arange(count, dtype=codes.dtype)})
    every = every.join(least, on="code", how="left", maintain_order="left")
    return every["user"].to_arrow(compat_level=pl.CompatLevel.oldest())


class _Seen:
    """Keys of two words that were met before, at most SEEN of them: what is not remembered counts as new."""

    def __init__(self) -> None:
        self._keys = np.empty((0, 2), dtype=np.uint64)

    def new(self, keys: np.ndarray) -> np.ndarray:
        """Return which keys, uint64 (n, 2), are met for the first time, bool (n,), and remember them."""
        at = np.searchsorted(self._keys[:, 0], keys[:, 0])
        new: np.ndarray = at == len(self._keys)
        new[~new] = (self._keys[at[~new]] != keys[~new]).any(axis=1)
        if len(self._keys) + np.count_nonzero(new) <= SEEN:
            every = np.concatenate([self._keys, keys[new]])
            self._keys = every[np.argsort(every[:, 0], kind="stable")]
        return new


class TextSink:
    """Writes a task's file of texts (`layout.TEXTS_OF`). Used in a `with` block.

    A text that an earlier chunk had, with the same user id, is left out.
    """

    def __init__(self, job: Job, file: WorkFile, name: str) -> None:
        self._job = job
        self._writing = writing(job, file, name)
        self._out: Any = None
        self._seen = _Seen()
        self.chunks = 0

    def __enter__(self) -> TextSink:
        self._out = self._writing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def add(self, texts: pa.Table) -> None:
        """Write one chunk of texts (TEXTS_SCHEMA), in id order."""
        ids = from_arrow(texts["id"])
        order = order_of(ids)
        order = order[self._seen.new(_keys(texts)[order])]
        buckets = self._job.buckets
        write_partitions(self._out, texts.take(pa.array(order)), buckets_of(ids[order], buckets), buckets)
        self.chunks += 1


def _keys(texts: pa.Table) -> np.ndarray:
    """Return what tells a text, its user id and whether its text is known, uint64 (n, 2)."""
    keys = words(from_arrow(texts["id"]))
    users = pl.Series(pl.from_arrow(texts["user_id"]), dtype=pl.String)
    if users.null_count() < len(users):
        keys ^= users.hash().to_numpy()[:, None]
    keys ^= texts["text"].is_null().to_numpy().astype(np.uint64)[:, None]
    return keys
