"""The parts of a settled fold: what is scored at once, with the vectors of all its texts in memory.

A part is a range of a fold's rows in sample order. It ends where the next row would bring one text too many, and with
PART_ROWS rows at the latest: triples that share their texts, as those of popular passages do, take one vector for many.
Every part has its sorted list of distinct texts; triples point into it by position (refs), and the exchange delivers
vectors in just that order, so that scoring needs no join. Parts depend on the data and the dimension only, never on
workers or memory, and so do the files published from them.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from jobs.ids import (
    ID_BYTES,
    as_arrow,
    buckets_of,
    first_of_run,
    from_arrow,
    id_array,
    order_of,
    positions_of,
)
from jobs.work.files import write_partitions
from jobs.work.job import Job
from jobs.work.layout import PARTS, REFS, REQUESTS

BANDS = 32
PART_ROWS = 1 << 17

Files = tuple[pa.RecordBatchFileWriter, pa.RecordBatchFileWriter]


class RowTexts(NamedTuple):
    """The texts of n rows: distinct ids S16 ascending, each row's three places among them, int32 (n, 3), and, of the
    same shape, the row in which each text was met before, -1 for none.
    """

    distinct: np.ndarray
    codes: np.ndarray
    before: np.ndarray


def row_texts(queries: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> RowTexts:
    """Return the texts of rows given as ids, S16 (n,) each."""
    ids = np.stack([queries, positives, negatives], axis=1).ravel()
    order = order_of(ids)  # stable: equal ids stay in the order of the rows
    ordered = ids[order]
    first = first_of_run(ordered)
    codes, before = np.empty(len(ids), dtype=np.int32), np.full(len(ids), -1, dtype=np.int32)
    codes[order] = np.cumsum(first, dtype=np.int32) - 1
    before[order[1:]] = np.where(first[1:], -1, order[:-1] // 3)
    return RowTexts(ordered[first], codes.reshape(-1, 3), before.reshape(-1, 3))


def cut_parts(queries: np.ndarray, before: np.ndarray, most_texts: int, edges: list[int]) -> list[int]:
    """Return the rows at which parts begin, and the end.

    Parts have at most `most_texts` texts and PART_ROWS rows, end at every one of `edges`, and else end with a query if
    they can.

    Args:
        queries: ids, S16 (n,), equal ones side by side.
        before: as in RowTexts.
        most_texts: three at least, so that a row fits.
    """
    if not len(queries):
        return [0]
    starts = np.flatnonzero(first_of_run(queries))
    cuts = [0]
    for edge in [*edges, len(queries)]:
        while cuts[-1] < edge:
            start, end = cuts[-1], min(edge, cuts[-1] + PART_ROWS)
            texts = np.cumsum((before[start:end] < start).sum(axis=1))  # a text that the part has not met yet
            end = start + int(np.searchsorted(texts, most_texts, side="right"))
            if end < edge:
                whole = int(starts[np.searchsorted(starts, end, side="right") - 1])
                end = whole if whole > start else end
            cuts.append(end)
    return cuts


def bands_of(positions: np.ndarray) -> np.ndarray:
    """Return each position's band, int64: the largest k, at most BANDS, with position < 2^(64 - k)."""
    edges = np.array([1 << (64 - k) for k in range(1, BANDS + 1)], dtype=np.uint64)
    bands: np.ndarray = (positions[:, None] < edges).sum(axis=1)
    return bands


def band_edges(queries: np.ndarray) -> list[int]:
    """Return the rows, ascending, at which the band changes. `queries`: in the order of their positions."""
    bands = bands_of(positions_of(queries))
    return (np.flatnonzero(bands[1:] != bands[:-1]) + 1).tolist()


def queries_by_band(queries: np.ndarray) -> dict[str, int]:
    """Return the number of distinct queries in each band (keys as strings: the summary is JSON)."""
    bands, counts = np.unique(bands_of(positions_of(queries[first_of_run(queries)])), return_counts=True)
    return {str(band): int(count) for band, count in zip(bands, counts, strict=True)}


class Written(NamedTuple):
    """Of each part written its rows and its band, and the rows that no part has yet."""

    parts: list[int]
    bands: list[int]
    rest: pa.Table


def write_parts(job: Job, files: Files, table: pa.Table, banded: bool, last: bool) -> Written:
    """Write the parts of rows in sample order; the last one is left open unless these rows are the fold's last."""
    roles = [from_arrow(table[f"{role}_id"]) for role in ("query", "positive", "negative")]
    texts = row_texts(*roles)
    cuts = cut_parts(roles[0], texts.before, job.part_texts, band_edges(roles[0]) if banded else [])
    written = cuts if last else cuts[:-1]
    for start, end in pairwise(written):
        part = slice(start, end)
        _write_part(job, files, table.slice(start, end - start), [ids[part] for ids in roles], texts, texts.codes[part])
    parts = [end - start for start, end in pairwise(written)]
    bands = bands_of(positions_of(roles[0][written[:-1]])).tolist()
    return Written(parts, bands, table.slice(written[-1] if written else 0))


def _write_part(
    job: Job, files: Files, part: pa.Table, roles: list[np.ndarray], texts: RowTexts, codes: np.ndarray
) -> None:
    parts, requests = files
    used = np.zeros(len(texts.distinct), dtype=bool)
    used[codes] = True
    wanted = texts.distinct[used]
    refs = (np.cumsum(used, dtype=np.int32) - 1)[codes]
    part = part.append_column("triple_id", _triple_ids(part, roles))
    for k, column in enumerate(REFS):
        part = part.append_column(column, pa.array(np.ascontiguousarray(refs[:, k])))
    schema = PARTS.schema_of(job)
    parts.write_batch(part.select(schema.names).cast(schema).combine_chunks().to_batches()[0])
    table = pa.table({"id": as_arrow(wanted)}, schema=REQUESTS.schema_of(job))
    write_partitions(requests, table, buckets_of(wanted, job.buckets), job.buckets)


def _triple_ids(part: pa.Table, roles: list[np.ndarray]) -> pa.Array:
    """Return the first 16 bytes of SHA-256 over the three text ids and the source's UTF-8."""
    data = np.stack([r.view("V16") for r in roles], axis=1).tobytes()
    width = len(roles) * ID_BYTES
    sources = part["source"].to_pylist()
    digests = (
        hashlib.sha256(data[i * width : (i + 1) * width] + source.encode()).digest()[:ID_BYTES]
        for i, source in enumerate(sources)
    )
    return as_arrow(id_array(digests))
