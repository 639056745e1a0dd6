"""Distinct texts on their way to their buckets: out of columns of strings, and through a sink into files by bucket."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs import work
from jobs.ids import ID_TYPE, Side, as_arrow, buckets_of, first_of_run, from_arrow, order_of, text_ids

TEXTS = pa.schema([("id", ID_TYPE), ("side", pa.string()), ("user_id", pa.large_string()), ("text", pa.large_string())])
# Python's white space is that of Unicode and the four separators of ASCII.
_SOMETHING = r"[^\s\x1c-\x1f]"


def not_blank(texts: pl.Series) -> np.ndarray:
    """Return whether each string has more than white space (`str.strip()` leaves something), bool (n,); False for null."""
    found: np.ndarray = texts.str.contains(_SOMETHING).fill_null(False).to_numpy()
    return found


def distinct_texts(side: Side, texts: pl.Series, users: pl.Series) -> tuple[np.ndarray, pa.Table]:
    """Return each string's row among the distinct ones, int32 (n,), and those: a table TEXTS.

    A null and a string of white space have no row: -1. Of a text's user ids the smallest is kept.
    """
    encoded = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string()).dictionary_encode()
    values = encoded.dictionary
    something = not_blank(pl.Series(pl.from_arrow(values), dtype=pl.String))
    rows = np.cumsum(something, dtype=np.int32) - np.int32(1)
    rows[~something] = -1
    rows = np.append(rows, np.int32(-1))  # what a null's code of -1 finds
    codes = rows[encoded.indices.fill_null(-1).to_numpy()]
    values = values.filter(pa.array(something))
    owners = _smallest(codes, users, len(values))
    return codes, pa.table(
        [as_arrow(text_ids(side, values)), pa.repeat(side, len(values)), owners, values], schema=TEXTS
    )


def merged(table: pa.Table) -> pa.Table:
    """Return texts (TEXTS) in the order of their ids, each once: with its smallest user id, and its text where one is known."""
    known = table["text"].is_valid()
    if 0 < table["text"].null_count < len(table):
        table = pa.concat_tables([table.filter(known), table.filter(pc.invert(known))])
    table = table.combine_chunks()
    ids = from_arrow(table["id"])
    order = order_of(ids)
    first = first_of_run(ids[order])
    codes = np.empty(len(ids), dtype=np.int32)
    codes[order] = np.cumsum(first, dtype=np.int32) - 1
    owners = _smallest(codes, pl.Series(pl.from_arrow(table["user_id"]), dtype=pl.String), int(first.sum()))
    once = table.take(pa.array(order[first]))
    return once.set_column(once.column_names.index("user_id"), TEXTS.field("user_id"), owners)


def _smallest(codes: np.ndarray, users: pl.Series, count: int) -> pa.Array:
    """Return the smallest user id of each code 0..count-1, null where it has none. Codes below 0 are left out."""
    if users.null_count() == len(users):
        return pa.nulls(count, pa.large_string())
    given = pl.DataFrame({"code": codes, "user": users}).filter((pl.col("code") >= 0) & pl.col("user").is_not_null())
    least = given.group_by("code").agg(pl.col("user").min())
    every = pl.DataFrame({"code": np.arange(count, dtype=np.int32)}).join(
        least, on="code", how="left", maintain_order="left"
    )
    return every["user"].to_arrow(compat_level=pl.CompatLevel.oldest())


class TextSink:
    """Writes `<name>.texts.arrow` of a stage: batch `chunk * buckets + bucket`. Used in a `with` block."""

    def __init__(self, job: work.Job, stage: str, name: str) -> None:
        self._job = job
        self._writing = work.writing(job.store, job.at(stage, f"{name}.texts.arrow"), TEXTS)
        self._out: Any = None
        self.chunks = 0

    def __enter__(self) -> TextSink:
        self._out = self._writing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def add(self, texts: pa.Table) -> None:
        """Write one chunk of texts (TEXTS), in id order."""
        ids = from_arrow(texts["id"])
        order = order_of(ids)
        buckets = self._job.buckets
        work.write_partitions(self._out, texts.take(pa.array(order)), buckets_of(ids[order], buckets), buckets)
        self.chunks += 1
