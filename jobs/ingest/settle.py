"""Stage 2: settle each fold: which rows are scored, and which texts that takes.

A fold is settled in *pieces*, ranges of the queries' sample positions, so that its size does not bound the memory: what
decides on a row (copies of it, labels of its query) has the same query. What is accepted is cut into parts (parts.py), in
the order of the sample positions; where pieces end leaves no trace.

Files of fold NN: those of its parts, and NN.rejects.arrow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import kept, statement
from jobs.ids import from_arrow, positions_of
from jobs.ingest.parts import CELLS, REQUESTS, queries_by_band, write_parts
from jobs.ingest.rows import TRIPLES
from jobs.work.files import reading, writing
from jobs.work.job import Job

PIECE_ROWS = 500_000

REJECTED = pa.schema([*TRIPLES, ("reason", pa.string())])


def settle_task(
    job: Job, name: str, fold: int, units: list[tuple[str, int]], rows: int, banded: bool = False
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
        writing(job.store, job.at("settle", f"{name}.cells.arrow"), CELLS) as cells,
        writing(job.store, job.at("settle", f"{name}.requests.arrow"), REQUESTS) as requests,
        writing(job.store, job.at("settle", f"{name}.rejects.arrow"), REJECTED) as rejects,
    ):
        rest = TRIPLES.empty_table()
        for piece in range(pieces):
            accepted, rejected = _settle(job, _read_piece(job, fold, units, piece, pieces), found)
            rejects.write_table(rejected)
            whole = pa.concat_tables([rest, accepted]).combine_chunks()
            written = write_parts(job, (cells, requests), whole, banded, last=piece + 1 == pieces)
            found.parts += written.parts
            found.bands += written.bands
            rest = written.rest
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


def _settle(job: Job, incoming: pa.Table, found: Settled) -> tuple[pa.Table, pa.Table]:
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


def _batches(job: Job, fold: int, units: list[tuple[str, int]]) -> Iterator[pa.RecordBatch]:
    for unit, chunks in units:
        with reading(job.store, job.at("ingest", f"{unit}.triples.arrow")) as file:
            for chunk in range(chunks):
                yield file.get_batch(chunk * job.folds + fold)


def _read_piece(job: Job, fold: int, units: list[tuple[str, int]], piece: int, pieces: int) -> pa.Table:
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
