"""Stage 2: settle each fold: which rows are scored, and which texts that takes.

A fold is settled in *pieces*, ranges of the queries' sample positions, so that its size does not bound the memory: what
decides on a row (copies of it, labels of its query) has the same query. A fold's rows are cut into *parts* (cells) of at
most `part_rows` triples in the order of the sample positions; where pieces end leaves no trace.
Every part has its sorted list of distinct texts; triples point into it by position (refs), and the exchange delivers
vectors in just that order, so that scoring needs no join. Parts depend on the data and the dimension only, never on
workers or memory, and so do the files published from them.

Files of fold NN: NN.cells.arrow (batch = part), NN.requests.arrow (batch = part * buckets + bucket), NN.rejects.arrow.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import kept, statement
from jobs import work
from jobs.ids import ID_BYTES, ID_TYPE, as_arrow, buckets_of, from_arrow, id_array, positions_of, unique_inverse
from jobs.ingest import TRIPLES

BANDS = 32
PIECE_ROWS = 500_000

CELLS = pa.schema(
    [
        ("triple_id", ID_TYPE),
        ("query_id", ID_TYPE),
        ("positive_id", ID_TYPE),
        ("negative_id", ID_TYPE),
        ("source", pa.string()),
        ("unit", pa.int32()),
        ("row", pa.int64()),
        ("q_ref", pa.int32()),
        ("p_ref", pa.int32()),
        ("n_ref", pa.int32()),
    ]
)
REQUESTS = pa.schema([("id", ID_TYPE)])
Files = tuple[pa.RecordBatchFileWriter, pa.RecordBatchFileWriter]
REJECTED = pa.schema([*TRIPLES, ("reason", pa.string())])


def settle_task(
    job: work.Job, name: str, fold: int, units: list[tuple[str, int]], rows: int, banded: bool = False
) -> dict[str, Any]:
    """Settle one fold. Returns counts, and of each part its rows, and its band where parts are cut at bands.

    Args:
        units: (ingest task, its chunks).
        rows: of the fold, over all units.
        banded: whether parts end at the sample positions 1/2, 1/4, 1/8, ..., so that nested samples are whole parts.
    """
    pieces = -(-rows // PIECE_ROWS) or 1
    found = Settled()
    with (
        work.writing(job.store, job.at("settle", f"{name}.cells.arrow"), CELLS) as cells,
        work.writing(job.store, job.at("settle", f"{name}.requests.arrow"), REQUESTS) as requests,
        work.writing(job.store, job.at("settle", f"{name}.rejects.arrow"), REJECTED) as rejects,
    ):
        rest = TRIPLES.empty_table()
        for piece in range(pieces):
            accepted, rejected = _settle(job, _read_piece(job, fold, units, piece, pieces), found)
            rejects.write_table(rejected)
            whole = pa.concat_tables([rest, accepted]).combine_chunks()
            rest = _write_parts(job, (cells, requests), whole, banded, piece + 1 == pieces, found)
    return found.summary()


class Settled:
    """What is known of a fold so far."""

    def __init__(self) -> None:
        self.rows, self.duplicates = 0, 0
        self.rejected_by_source: Counter[str] = Counter()
        self.parts: list[int] = []
        self.bands: list[int] = []
        self.queries: Counter[str] = Counter()

    def summary(self) -> dict[str, Any]:
        """Return it as the task's summary."""
        return {
            "rows": self.rows,
            "rejected": sum(self.rejected_by_source.values()),
            "rejected_by_source": dict(self.rejected_by_source),
            "duplicates": self.duplicates,
            "parts": self.parts,
            "bands": self.bands,
            "queries": dict(self.queries),
        }


def _settle(job: work.Job, incoming: pa.Table, found: Settled) -> tuple[pa.Table, pa.Table]:
    """Return a piece's accepted rows in sample order, and its rejected ones."""
    with kept(job.share // 2, job.threads, incoming=incoming) as (con, _):
        settled = con.sql(statement("settle")).to_arrow_table()
    reason = settled["reason"].cast(pa.string())
    copies = pc.fill_null(pc.equal(reason, "duplicate"), False)
    accepted = _in_sample_order(settled.filter(pc.is_null(reason)).select(TRIPLES.names).cast(TRIPLES))
    rejected = settled.filter(pc.and_(pc.is_valid(reason), pc.invert(copies))).select(REJECTED.names).cast(REJECTED)
    found.rows += len(settled)
    found.duplicates += int(pc.sum(copies).as_py() or 0)
    found.rejected_by_source.update(rejected["source"].to_pylist())
    found.queries.update(queries_by_band(from_arrow(accepted["query_id"])))
    return accepted, rejected


def _batches(job: work.Job, fold: int, units: list[tuple[str, int]]) -> Iterator[pa.RecordBatch]:
    for unit, chunks in units:
        with work.reading(job.store, job.at("ingest", f"{unit}.triples.arrow")) as file:
            for chunk in range(chunks):
                yield file.get_batch(chunk * job.folds + fold)


def _read_piece(job: work.Job, fold: int, units: list[tuple[str, int]], piece: int, pieces: int) -> pa.Table:
    """Return a fold's rows whose queries' positions lie in the given one of equal ranges."""
    batches = _batches(job, fold, units)
    if pieces > 1:
        width = -(-(1 << 64) // pieces)
        batches = (
            b.filter(pa.array(positions_of(from_arrow(b["query_id"])) // np.uint64(width) == piece)) for b in batches
        )
    return pa.Table.from_batches(batches, TRIPLES)


def _in_sample_order(table: pa.Table) -> pa.Table:
    """Sort by the queries' sample position; equal positions keep the order by query, source, positive, negative."""
    order = np.argsort(positions_of(from_arrow(table["query_id"])), kind="stable")
    return table.take(pa.array(order)).combine_chunks()


def cut_parts(queries: np.ndarray, most: int, edges: list[int]) -> list[int]:
    """Return the rows at which parts begin, and the end.

    Parts have at most `most` rows, end at every one of `edges`, and else end with a query if they can.
    """
    if not len(queries):
        return [0]
    starts = np.flatnonzero(np.concatenate([[True], queries[1:] != queries[:-1]]))
    cuts = [0]
    for edge in [*edges, len(queries)]:
        while edge - cuts[-1] > most:
            limit = cuts[-1] + most
            whole = int(starts[np.searchsorted(starts, limit, side="right") - 1])
            cuts.append(whole if whole > cuts[-1] else limit)
        if edge > cuts[-1]:
            cuts.append(edge)
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
    first = np.concatenate([[True], queries[1:] != queries[:-1]]) if len(queries) else np.empty(0, bool)
    bands, counts = np.unique(bands_of(positions_of(queries[first])), return_counts=True)
    return {str(band): int(count) for band, count in zip(bands, counts, strict=True)}


def _write_parts(job: work.Job, files: Files, table: pa.Table, banded: bool, last: bool, found: Settled) -> pa.Table:
    """Write the parts of rows in sample order; unless these are the fold's last, returns the rows of an open part."""
    queries = from_arrow(table["query_id"])
    cuts = cut_parts(queries, job.part_rows, band_edges(queries) if banded else [])
    written = cuts if last else cuts[:-1]
    for start, end in pairwise(written):
        _write_part(job, files, table.slice(start, end - start))
        found.parts.append(end - start)
    if written:
        found.bands += bands_of(positions_of(queries[written[:-1]])).tolist()
    return table.slice(written[-1] if written else 0)


def _write_part(job: work.Job, files: Files, part: pa.Table) -> None:
    cells, requests = files
    roles = [from_arrow(part[f"{role}_id"]) for role in ("query", "positive", "negative")]
    texts, refs = unique_inverse(np.concatenate(roles))
    q_ref, p_ref, n_ref = np.split(refs, 3)
    part = part.append_column("triple_id", _triple_ids(part, roles))
    for column, values in (("q_ref", q_ref), ("p_ref", p_ref), ("n_ref", n_ref)):
        part = part.append_column(column, pa.array(values))
    cells.write_batch(part.select(CELLS.names).cast(CELLS).combine_chunks().to_batches()[0])
    wanted = pa.table({"id": as_arrow(texts)}, schema=REQUESTS)
    work.write_partitions(requests, wanted, buckets_of(texts, job.buckets), job.buckets)


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
