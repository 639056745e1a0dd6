"""Stage 6: score folds. SQL with NumPy UDFs computes each triple's row; NumPy sums the matrices, exactly.

A fold's parts are scored one after the other, each with its own vectors in memory. Published: one scores file a part.
Files of fold NN: NN.moments.arrow (batch = source, of one row or none), NN.members.arrow (batch = bucket: which texts each source has
scored, for distinct counts), NN.rejects.arrow (triples without a usable vector).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.connection import connect, statement
from eci_sql.moments import add_residuals, pack_upper
from eci_sql.udfs import TokenSets, Vectors, register
from jobs import work
from jobs.ids import ID_TYPE, as_arrow, as_uuid, buckets_of, from_arrow, lookup, order_of, unique
from jobs.settle import CELLS, REJECTED
from jobs.tables import MOMENTS, SCORES, SUMS
from jobs.vectors import matrix_of

MEMBERS = pa.schema([("id", ID_TYPE), ("source", pa.int32())])
SCORE_ROWS = 25_000
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
    job: work.Job,
    name: str,
    fold: int,
    parts: tuple[int, int],
    first: int,
    buckets: list[str],
    sources: list[str],
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Score parts of one fold, and write their sums under this task's name.

    Args:
        parts: the first part and the end.
        first: the number of the first one in the exchange files.
        buckets: the exchange files, by bucket.
    """
    moments = Moments(sources, job.dim)
    members, rejects = [], []
    folder = f"{fold:02d}"
    for part in range(*parts):
        number = first + part - parts[0]
        scored, rejected, vectors = _score_part(job, folder, part, number, buckets, moments)
        _add_moments(moments, scored, vectors)
        path = f"scores/fold={folder}/part-{part:03d}.parquet"
        work.publish(job, path, [_published(job, fold, scored)], SCORES.schema)
        members.append(scored.select(["query_id", "negative_id", "source"]))
        rejects.append(rejected)
        report(len(scored))
    table = moments.table(job.run_id, fold)
    rejected = pa.concat_tables([REJECTED.empty_table(), *rejects])
    with work.writing(job.store, job.at("score", f"{name}.moments.arrow"), table.schema) as out:
        rows = np.array([sources.index(source) for source in table["source"].to_pylist()], dtype=np.int64)
        work.write_partitions(out, table, rows, len(sources))
    with work.writing(job.store, job.at("score", f"{name}.rejects.arrow"), REJECTED) as out:
        out.write_table(rejected)
    _write_members(job, name, members, sources)
    return {"scored": int(sum(table["n_examples"].to_pylist())), "rejected": len(rejected)}


def _score_part(
    job: work.Job, name: str, part: int, number: int, buckets: list[str], moments: Moments
) -> tuple[pa.Table, pa.Table, Vectors]:
    with work.reading(job.store, job.at("settle", f"{name}.cells.arrow")) as file:
        cell = pa.Table.from_batches([file.get_batch(part)], CELLS)
    vectors, sets = receive(job, number, buckets)
    with connect(job.share // 4, 1) as con:
        register(con, vectors, sets)
        con.register("cell", cell.append_column("ordinal", pa.array(np.arange(len(cell)))))
        params = {"temperature": job.temperature, "kappa": job.kappa}
        rows = con.sql(statement("scores"), params=params).to_arrow_table()
        usable = pc.and_(rows["s_neg"].is_valid(), rows["s_pos"].is_valid())
        scored = rows.filter(usable)
        con.register("scored", scored)
        moments.add_sums(con.sql(statement("sums")).to_arrow_table())
    return scored, _rejected(rows.filter(pc.invert(usable))), vectors


def receive(job: work.Job, number: int, buckets: list[str]) -> tuple[Vectors, TokenSets]:
    """Read a part's vectors and token sets from every bucket's file: in bucket order, which is the order of refs."""
    batches = []
    for bucket in buckets:
        with work.reading(job.store, job.at("exchange", f"{bucket}.arrow")) as file:
            batches.append(file.get_batch(number))
    itemtype = np.float32 if job.encoder is None else np.float16
    matrix = np.concatenate([matrix_of(b["vector"], itemtype, job.dim) for b in batches]).astype(np.float32, copy=False)
    table = pa.Table.from_batches([batch.drop_columns(["vector"]) for batch in batches])
    valid = table["valid"].to_numpy()
    lists = table["tokens"].combine_chunks()
    with work.reading(job.store, job.at("vocabulary", "vocabulary.arrow")) as file:
        weights = file.read_all()["idf"].to_numpy()
    lengths = np.asarray(lists.value_lengths())
    sets = TokenSets(
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        lists.flatten().to_numpy().astype(np.int64),
        weights,
        table["known"].to_numpy(),
    )
    return Vectors(*unit_rows(matrix, valid)), sets


def unit_rows(matrix: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows scaled to unit length (float32, n x d), and which of them are usable (n,).

    Vectors that a float16 cache has rounded are off unit length by some 1e-4; the formula wants unit vectors.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    usable = valid & np.isfinite(norms) & (norms > 0)
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=usable)
    return (matrix * scale[:, None]).astype(np.float32), usable


def _add_moments(moments: Moments, scored: pa.Table, vectors: Vectors) -> None:
    sources = scored["source"].combine_chunks().dictionary_encode()
    code = sources.indices.to_numpy()
    weight, s_pos, s_neg = (scored[name].to_numpy() for name in ("weight", "s_pos", "s_neg"))
    refs = [scored[name].to_numpy() for name in ("q_ref", "p_ref", "n_ref")]
    for k, source in enumerate(sources.dictionary.to_pylist()):
        for plus in (True, False):
            at = np.flatnonzero((code == k) & ((weight > 0) if plus else (weight < 0)))
            if len(at):
                q, p, n = (ref[at] for ref in refs)
                add_residuals(moments.matrix(source, plus), vectors.matrix, (q, p, n), s_pos[at], s_neg[at], weight[at])


def _published(job: work.Job, fold: int, scored: pa.Table) -> pa.Table:
    columns: dict[str, Any] = {
        "run_id": pa.repeat(job.run_id, len(scored)),
        "fold": pa.array(np.full(len(scored), fold, dtype=np.int32)),
        "information": pa.nulls(len(scored), pa.float64()),
    }
    for name in SCORES.schema.names:
        if name.endswith("_id") and name not in columns:
            columns[name] = as_uuid(from_arrow(scored[name]))
        elif name not in columns:
            columns[name] = scored[name]
    return pa.table({name: columns[name] for name in SCORES.schema.names}, schema=SCORES.schema)


def _rejected(rows: pa.Table) -> pa.Table:
    for name in ("query_id", "positive_id", "negative_id"):
        rows = rows.set_column(rows.schema.get_field_index(name), name, rows[name].cast(ID_TYPE))
    reason = pa.repeat("bad_vector", len(rows))
    return rows.append_column("reason", reason).select(REJECTED.names).cast(REJECTED)


def _write_members(job: work.Job, name: str, parts: list[pa.Table], sources: list[str]) -> None:
    """Write the distinct (text, source) of the fold's scored triples, queries and negatives, by bucket."""
    number = {source: i for i, source in enumerate(sources)}
    keys: list[tuple[np.ndarray, np.ndarray]] = []
    for part in parts:
        code = np.array([number[s] for s in part["source"].to_pylist()], dtype=np.int32)
        for column in ("query_id", "negative_id"):
            ids = from_arrow(part[column])
            for k in np.unique(code).tolist():
                distinct = unique(ids[code == k])
                keys.append((distinct, np.full(len(distinct), k, dtype=np.int32)))
    ids = np.concatenate([np.empty(0, "S16"), *(k for k, _ in keys)])
    code = np.concatenate([np.empty(0, np.int32), *(c for _, c in keys)])
    order = order_of(ids)
    table = pa.table([as_arrow(ids[order]), pa.array(code[order])], schema=MEMBERS)
    with work.writing(job.store, job.at("score", f"{name}.members.arrow"), MEMBERS) as out:
        work.write_partitions(out, table, buckets_of(ids[order], job.buckets), job.buckets)


def distinct_task(
    job: work.Job, name: str, bucket: int, folds: list[str], sources: list[str], hybrids: list[list[int]]
) -> dict[str, Any]:
    """Count one bucket's distinct queries and negatives over all folds: of every source, then of every hybrid.

    `hybrids`: the numbers of each hybrid's sources; a text of several of them counts once.
    """
    ids, codes = [np.empty(0, "S16")], [np.empty(0, np.int32)]
    for fold in folds:
        with work.reading(job.store, job.at("score", f"{fold}.members.arrow")) as file:
            batch = file.get_batch(bucket)
            ids.append(from_arrow(batch["id"]).copy())
            codes.append(batch["source"].to_numpy().copy())
    with work.reading(job.store, job.at("collect", f"{name}.sets.arrow")) as file:
        table = file.read_all()
    at, code = lookup(from_arrow(table["id"]), np.concatenate(ids)), np.concatenate(codes)
    is_query = np.asarray(table["side"].to_pylist(), dtype=object)[at] == "query"
    counts: dict[str, Any] = {}
    for kind, side in (("queries", True), ("negatives", False)):
        chosen = np.sort(at[is_query == side] * len(sources) + code[is_query == side])
        keep = np.ones(len(chosen), dtype=bool)
        keep[1:] = chosen[1:] != chosen[:-1]
        tally = np.bincount(chosen[keep] % max(len(sources), 1), minlength=len(sources))
        pooled = [len(np.unique(at[(is_query == side) & np.isin(code, numbers)])) for numbers in hybrids]
        counts[kind] = tally.tolist() + pooled
    return counts
