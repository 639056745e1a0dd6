"""Stage `settle`: settle each fold: which rows are scored, and which texts that takes.

A fold is settled in *pieces*, ranges of the queries' sample positions, so that its size does not bound the memory: what
decides on a row (copies of it, labels of its query) has the same query. What is accepted is cut into parts (parts.py), in
the order of the sample positions; where pieces end leaves no trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import kept, statement
from jobs.ids import from_arrow, positions_of
from jobs.ingest.parts import queries_by_band, write_parts
from jobs.work.files import reading, writing
from jobs.work.job import Job
from jobs.work.layout import PARTS, REQUESTS, SETTLE_REJECTS, TRIPLES, TRIPLES_SCHEMA, Origin
from jobs.work.summaries import Settled

PIECE_ROWS = 500_000


def settle_task(job: Job, name: str, fold: int, units: list[Origin], rows: int, banded: bool = False) -> Settled:
    """Settle one fold. Returns counts, and of each part its rows, and its band where parts are cut at bands.

    Args:
        units: the ingest tasks, in the order of their numbers.
        rows: of the fold, over all units.
        banded: whether parts end at the sample positions 1/2, 1/4, 1/8, ..., so that nested samples are whole parts.
    """
    pieces = -(-rows // PIECE_ROWS) or 1
    found = _Found()
    with (
        writing(job, PARTS, name) as parts,
        writing(job, REQUESTS, name) as requests,
        writing(job, SETTLE_REJECTS, name) as rejects,
    ):
        rest = TRIPLES_SCHEMA.empty_table()
        for piece in range(pieces):
            accepted, rejected = _settle(job, _read_piece(job, fold, units, piece, pieces), found)
            rejects.write_table(rejected)
            whole = pa.concat_tables([rest, accepted]).combine_chunks()
            written = write_parts(job, (parts, requests), whole, banded, last=piece + 1 == pieces)
            found.parts += written.parts
            found.bands += written.bands
            rest = written.rest
    return found.summary()


class _Found:
    """What is known of a fold so far."""

    def __init__(self) -> None:
        self.rows, self.duplicates, self.rejected = 0, 0, 0
        self.rejected_by_source: dict[str, dict[str, int]] = {}
        self.parts: list[int] = []
        self.bands: list[int] = []
        self.queries: Counter[str] = Counter()

    def summary(self) -> Settled:
        """Return it as the task's summary."""
        return {
            "rows": self.rows,
            "rejected": self.rejected,
            "rejected_by_source": self.rejected_by_source,
            "duplicates": self.duplicates,
            "parts": self.parts,
            "bands": self.bands,
            "queries": dict(self.queries),
        }


def _settle(job: Job, incoming: pa.Table, found: _Found) -> tuple[pa.Table, pa.Table]:
    """Return a piece's accepted rows in sample order, and its rejected ones."""
    with kept(job.share // 2, job.threads, incoming=incoming) as (con, _):
        settled = con.sql(statement("settle")).to_arrow_table()
    reason = settled["reason"].cast(pa.string())
    copies = pc.fill_null(pc.equal(reason, "duplicate"), False)
    refused = SETTLE_REJECTS.schema_of(job)
    taken = settled.filter(pc.is_null(reason)).select(TRIPLES_SCHEMA.names).cast(TRIPLES_SCHEMA)
    accepted = _in_sample_order(taken)
    rejected = settled.filter(pc.and_(pc.is_valid(reason), pc.invert(copies))).select(refused.names).cast(refused)
    found.rows += len(settled)
    found.duplicates += int(pc.sum(copies).as_py() or 0)
    found.rejected += len(rejected)
    for row in rejected.group_by(["source", "reason"]).aggregate([([], "count_all")]).to_pylist():
        reasons = found.rejected_by_source.setdefault(row["source"], {})
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["count_all"]
    found.queries.update(queries_by_band(from_arrow(accepted["query_id"])))
    return accepted, rejected


def _batches(job: Job, fold: int, units: list[Origin]) -> Iterator[pa.RecordBatch]:
    for number, unit in enumerate(units):
        with reading(job, TRIPLES, unit.task) as file:
            for chunk in range(unit.chunks):
                batch = file.get_batch(chunk * job.folds + fold)
                of = pa.array(np.full(len(batch), number, dtype=np.int32))
                yield batch.append_column("unit", of).select(TRIPLES_SCHEMA.names)


def _read_piece(job: Job, fold: int, units: list[Origin], piece: int, pieces: int) -> pa.Table:
    """Return a fold's rows whose queries' positions lie in the given one of equal ranges."""
    batches = _batches(job, fold, units)
    if pieces > 1:
        width = -(-(1 << 64) // pieces)
        batches = (
            b.filter(pa.array(positions_of(from_arrow(b["query_id"])) // np.uint64(width) == piece)) for b in batches
        )
    return pa.Table.from_batches(batches, TRIPLES_SCHEMA)


def _in_sample_order(table: pa.Table) -> pa.Table:
    """Sort by the queries' sample position; equal positions keep the order by query, source, positive, negative."""
    order = np.argsort(positions_of(from_arrow(table["query_id"])), kind="stable")
    return table.take(pa.array(order)).combine_chunks()
