"""Stage 6: score folds. SQL with NumPy UDFs computes each triple's row; NumPy sums the matrices, exactly.

A fold's parts are scored one after the other, each with its own vectors in memory. Published: one scores file a part.
Files of fold NN: NN.moments.arrow (batch = source, of one row or none), NN.members.arrow (members.py), NN.rejects.arrow
(triples without a usable vector).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import kept, statement
from eci_sql.moments import add_residuals, pack_upper
from eci_sql.udfs import Texts, TokenSets, Vectors, register
from jobs.ingest.parts import CELLS, REFS
from jobs.ingest.settle import REJECTED
from jobs.output.tables import MOMENTS, SCORES, SUMS
from jobs.scoring.members import members_of, write_members
from jobs.vectors.columns import unit_rows
from jobs.vectors.exchange import Exchanged
from jobs.vectors.given import matrix_of
from jobs.work.files import Job, publish, reading, write_partitions, writing

if TYPE_CHECKING:
    import duckdb

_SUM_NAMES = [column.name for column in SUMS]


class Moments:
    """The running sums of one fold: matrices and means by source."""

    def __init__(self, sources: list[str], dim: int) -> None:
        self.sources, self.dim = sources, dim
        self.plus: dict[str, np.ndarray] = {}
        self.minus: dict[str, np.ndarray] = {}
        self.sums: dict[str, dict[str, int]] = {}

    def add_sums(self, table: pa.Table) -> None:
        """Add the rows of sums.sql."""
        for row in table.to_pylist():
            total = self.sums.setdefault(row.pop("source"), dict.fromkeys(["n_examples", *_SUM_NAMES], 0))
            for name, value in row.items():
                total[name] += value

    def matrix(self, source: str, plus: bool) -> np.ndarray:
        """Return a source's trusted or distrusted matrix, int64 (d, d), to add to in place."""
        matrices = self.plus if plus else self.minus
        if source not in matrices:
            matrices[source] = np.zeros((self.dim, self.dim), dtype=np.int64)
        return matrices[source]

    def table(self, run_id: str, fold: int) -> pa.Table:
        """Return the rows of the moments table, by source."""
        nothing = np.zeros((self.dim, self.dim), dtype=np.int64)
        rows = [
            {
                "run_id": run_id,
                "source": source,
                "fold": fold,
                "dim": self.dim,
                "plus": pack_upper(self.plus.get(source, nothing)),
                "minus": pack_upper(self.minus.get(source, nothing)),
                **self.sums[source],
            }
            for source in self.sources
            if source in self.sums
        ]
        return pa.Table.from_pylist(rows, MOMENTS.schema)


def score_task(
    job: Job,
    name: str,
    fold: int,
    parts: tuple[int, int],
    first: int,
    exchanged: Exchanged,
    sources: list[str],
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Score parts of one fold, and write their sums under this task's name.

    Args:
        parts: the first part and the end.
        first: the number of the first one in the exchange files.
    """
    moments = Moments(sources, job.dim)
    members, rejects = [], [REJECTED.empty_table()]
    folder = f"{fold:02d}"
    weights = token_weights(job)
    # memory that one part has touched serves the next, which costs no page faults
    room = np.empty((job.part_texts, job.dim), dtype=np.float32)
    with kept(job.share // 4, 1, register) as (con, texts):
        for part in range(*parts):
            with reading(job.store, job.at("settle", f"{folder}.cells.arrow")) as file:
                cell = pa.Table.from_batches([file.get_batch(part)], CELLS)
            texts.vectors, texts.sets = receive(job, first + part - parts[0], exchanged, weights, room)
            scored, rejected = score_part(con, job, cell)
            moments.add_sums(con.sql(statement("sums")).to_arrow_table())
            _add_moments(moments, scored, texts.vectors)
            path = f"scores/fold={folder}/part-{part:03d}.parquet"
            publish(job, path, [_published(job, fold, scored)], SCORES.schema)
            members.append(members_of(scored, len(texts.vectors.valid), sources))
            rejects.append(rejected)
            _let_go(con, texts)  # before the next part comes, and while other stages use this worker
            report(len(scored))
    table = moments.table(job.run_id, fold)
    with writing(job.store, job.at("score", f"{name}.moments.arrow"), table.schema, compression=None) as out:
        rows = np.array([sources.index(source) for source in table["source"].to_pylist()], dtype=np.int64)
        write_partitions(out, table, rows, len(sources))
    with writing(job.store, job.at("score", f"{name}.rejects.arrow"), REJECTED) as out:
        out.write_table(pa.concat_tables(rejects))
    write_members(job, name, members)
    by_source = {source: sums["n_examples"] for source, sums in moments.sums.items()}
    return {"scored": sum(by_source.values()), "by_source": by_source, "rejected": sum(map(len, rejects))}


def _let_go(con: duckdb.DuckDBPyConnection, texts: Texts) -> None:
    for view in ("cell", "scored"):
        con.unregister(view)
    del texts.vectors, texts.sets


def score_part(con: duckdb.DuckDBPyConnection, job: Job, cell: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return a part's triples with the columns of scores.sql, and those without a usable vector as rejects.

    The first are left as the connection's view `scored`.
    """
    con.register("cell", cell.select(REFS))
    params = {"temperature": job.temperature, "kappa": job.kappa}
    found = con.sql(statement("scores"), params=params).to_arrow_table().combine_chunks()
    rows = cell
    for column in found.column_names:
        rows = rows.append_column(column, found[column])
    usable = pc.and_(rows["s_neg"].is_valid(), rows["s_pos"].is_valid())
    scored, rejected = rows.filter(usable), rows.filter(pc.invert(usable))
    con.register("scored", scored)
    reason = pa.repeat("bad_vector", len(rejected))
    return scored, rejected.append_column("reason", reason).select(REJECTED.names).cast(REJECTED)


def token_weights(job: Job) -> np.ndarray:
    """Return the idf of the vocabulary's tokens, float64 (n,)."""
    with reading(job.store, job.at("vocabulary", "vocabulary.arrow")) as file:
        return np.asarray(file.read_all()["idf"].to_numpy())


def receive(
    job: Job, number: int, exchanged: Exchanged, weights: np.ndarray, room: np.ndarray | None = None
) -> tuple[Vectors, TokenSets]:
    """Read a part's vectors and token sets from every bucket's file: in bucket order, which is the order of refs.

    Args:
        weights: those of `token_weights`.
        room: float32 (m, d) with a row for every text at least, to put the vectors into (None: new memory).
    """
    batches = []
    for name in exchanged.files:
        with reading(job.store, job.at("exchange", f"{name}.arrow")) as file:
            batches += [file.get_batch(at) for at in range(number, file.num_record_batches, exchanged.parts)]
    table = pa.Table.from_batches([batch.drop_columns(["vector"]) for batch in batches]).combine_chunks()
    scale = table["scale"].to_numpy()
    lists = table["tokens"].combine_chunks()
    sets = TokenSets(
        np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]).astype(np.int32),
        lists.flatten().to_numpy(),
        weights,
        table["known"].to_numpy(),
    )
    matrix = np.empty((len(scale), job.dim), dtype=np.float32) if room is None else room[: len(scale)]
    start = 0
    while batches:  # a bucket's pages are let go before the next one's are touched
        rows = matrix_of(batches.pop(0)["vector"], job.vector_type, job.dim)
        unit_rows(rows, scale[start : start + len(rows)], matrix[start : start + len(rows)])
        start += len(rows)
    return Vectors(matrix, scale > 0), sets


def _add_moments(moments: Moments, scored: pa.Table, vectors: Vectors) -> None:
    sources = scored["source"].combine_chunks().dictionary_encode()
    code = sources.indices.to_numpy()
    weight, s_pos, s_neg = (scored[name].to_numpy() for name in ("weight", "s_pos", "s_neg"))
    refs = [scored[name].to_numpy() for name in REFS]
    for k, source in enumerate(sources.dictionary.to_pylist()):
        for plus in (True, False):
            at = np.flatnonzero((code == k) & ((weight > 0) if plus else (weight < 0)))
            if len(at):
                q, p, n = (ref[at] for ref in refs)
                add_residuals(moments.matrix(source, plus), vectors.matrix, (q, p, n), s_pos[at], s_neg[at], weight[at])


def _published(job: Job, fold: int, scored: pa.Table) -> pa.Table:
    columns: dict[str, Any] = {
        "run_id": pa.repeat(job.run_id, len(scored)),
        "fold": pa.array(np.full(len(scored), fold, dtype=np.int32)),
        "information": pa.nulls(len(scored), pa.float64()),
    }
    for name in SCORES.schema.names:
        if name.endswith("_id") and name not in columns:
            columns[name] = pa.ExtensionArray.from_storage(pa.uuid(), scored[name].combine_chunks())
        elif name not in columns:
            columns[name] = scored[name]
    return pa.table({name: columns[name] for name in SCORES.schema.names}, schema=SCORES.schema)
