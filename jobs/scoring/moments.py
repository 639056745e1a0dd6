"""The sums of a part by source and sign: written by the score stage, read source by source by all that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.mixtures import Folds, pooled
from eci_sql.moments import add_residuals, rounded, sum_packed, upper_of
from eci_sql.udfs import Vectors
from jobs.output.tables import MOMENTS as TABLE
from jobs.output.tables import SUMS
from jobs.work.files import reading
from jobs.work.job import Job
from jobs.work.layout import FOLD_SUMS, MOMENTS, REFS

_SUM_NAMES = [column.name for column in SUMS]


def read_source(job: Job, number: int, scored: list[str]) -> pa.Table:
    """Return one source's sums by fold, in units of 2^-UNIT_BITS. `scored`: score tasks, FF or FF-KK; looks are summed.

    A fold is rounded when it is whole: in how many looks it came makes no difference.
    """
    looks: dict[str, list[pa.RecordBatch]] = {}
    for task in scored:
        with reading(job, MOMENTS, task) as file:
            looks.setdefault(task.partition("-")[2], []).append(file.get_batch(number))
    tables = [pa.Table.from_batches(batches, FOLD_SUMS) for batches in looks.values()]
    tables = [table for table in tables if len(table)] or tables[:1]
    total = tables[0] if len(tables) == 1 else _of_looks(tables, job.folds)
    for name in ("plus", "minus"):
        sums = as_lists(rounded(matrices_of(total, name)))
        total = total.set_column(total.column_names.index(name), name, sums)
    return total


def _of_looks(tables: list[pa.Table], folds: int) -> pa.Table:
    total = merged(iter(tables), folds)
    source = pa.repeat(tables[0]["source"][0], len(total))
    return total.append_column("source", source).select(FOLD_SUMS.names).cast(FOLD_SUMS)


def whole(table: pa.Table) -> pa.Table:
    """Return the row of `moments` of a source with these sums by fold; none where there are none.

    Raises:
        MetricError: sums too large for int64.
    """
    if not len(table):
        return TABLE.schema.empty_table()
    row: dict[str, Any] = {name: table[name][0] for name in ("run_id", "source", "dim")}
    for field in TABLE.schema:
        if field.type == pa.int64():
            row[field.name] = pa.scalar(int(table[field.name].to_numpy().sum()))
    columns = {name: pa.repeat(value, 1) for name, value in row.items()}
    columns |= {name: as_lists(sum_packed(matrices_of(table, name))[None]) for name in ("plus", "minus")}
    return pa.table({name: columns[name] for name in TABLE.schema.names}).cast(TABLE.schema)


def matrices_of(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of packed matrices as int64 (folds, P)."""
    values = table[name].combine_chunks().flatten().to_numpy()
    return np.asarray(values).reshape(len(table), -1 if len(table) else 0)


def folds_of_table(table: pa.Table, folds: int) -> Folds:
    """Return rows of one source as sums by fold; folds without examples are zeros."""
    at = table["fold"].to_numpy()
    examples = np.zeros(folds, dtype=np.int64)
    examples[at] = table["n_examples"].to_numpy()
    signs = []
    for name in ("plus", "minus"):
        rows = table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        packed = np.zeros((folds, rows.shape[1]), dtype=np.int64)
        packed[at] = rows
        signs.append(packed)
    return Folds(signs[0], signs[1], examples)


def merged(tables: Iterator[pa.Table], folds: int) -> pa.Table:
    """Return the moments of several sources as those of one: every column of every fold is added, exactly.

    Raises:
        MetricError: sums too large for int64.
    """
    total: Folds | None = None
    counts: dict[str, np.ndarray] = {}
    first = pa.table({})
    for table in tables:
        if not len(table):
            continue
        part = folds_of_table(table, folds)
        total = part if total is None else pooled([total, part])
        first = first if len(first) else table.slice(0, 1)
        at = table["fold"].to_numpy()
        for field in table.schema:
            if field.type == pa.int64():
                counts.setdefault(field.name, np.zeros(folds, dtype=np.int64))[at] += table[field.name].to_numpy()
    if total is None:
        return first
    here = np.flatnonzero(total.n)
    return pa.table(
        {
            "run_id": pa.repeat(first["run_id"][0], len(here)),
            "fold": pa.array(here, pa.int32()),
            "dim": pa.repeat(first["dim"][0], len(here)),
            "plus": as_lists(total.plus[here]),
            "minus": as_lists(total.minus[here]),
            **{name: pa.array(values[here]) for name, values in counts.items()},
        }
    )


def as_lists(matrix: np.ndarray) -> pa.Array:
    """Return the rows of an int64 matrix (n, P) as Arrow lists."""
    flat = pa.array(np.ascontiguousarray(matrix).ravel())
    return pa.ListArray.from_arrays(pa.array(np.arange(len(matrix) + 1) * matrix.shape[1], pa.int32()), flat)


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
        """Return a row for each source that was met, by source; matrices in units of 2^-SUM_BITS."""
        nothing = np.zeros((self.dim, self.dim), dtype=np.int64)
        rows = [
            {
                "run_id": run_id,
                "source": source,
                "fold": fold,
                "dim": self.dim,
                "plus": upper_of(self.plus.get(source, nothing)),
                "minus": upper_of(self.minus.get(source, nothing)),
                **self.sums[source],
            }
            for source in self.sources
            if source in self.sums
        ]
        return pa.Table.from_pylist(rows, FOLD_SUMS)


def add_moments(moments: Moments, scored: pa.Table, vectors: Vectors) -> None:
    """Add the residuals of a part's scored triples to the matrices of their sources."""
    refs = [scored[name].to_numpy() for name in REFS]
    add_signed(moments.matrix, scored, vectors.matrix, refs, scored["weight"].to_numpy())


def add_signed(
    matrix: Callable[[str, bool], np.ndarray],
    scored: pa.Table,
    vectors: np.ndarray,
    refs: Sequence[np.ndarray],
    weight: np.ndarray,
) -> None:
    """Add the residuals of scored triples to the matrices of their sources, by the sign of their weights, exactly.

    Args:
        matrix: gives a source's matrix of weights above (True) or below 0, int64 (d, d), to add to in place.
        scored: m triples with source, s_pos and s_neg.
        vectors: (n, d) float32 of unit length.
        refs: the rows in `vectors` of query, positive and negative, (m,) each.
        weight: (m,) float64.
    """
    sources = scored["source"].combine_chunks().dictionary_encode()
    code = sources.indices.to_numpy()
    s_pos, s_neg = scored["s_pos"].to_numpy(), scored["s_neg"].to_numpy()
    for k, source in enumerate(sources.dictionary.to_pylist()):
        for plus in (True, False):
            at = np.flatnonzero((code == k) & ((weight > 0) if plus else (weight < 0)))
            if len(at):
                q, p, n = (ref[at] for ref in refs)
                add_residuals(matrix(source, plus), vectors, (q, p, n), s_pos[at], s_neg[at], weight[at])
