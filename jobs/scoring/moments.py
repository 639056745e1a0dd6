"""The sums of a part by source and sign: made and written by the score stage, read by sums.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.folds import FoldMatrices, Folds
from eci_sql.moments import Gathered, dim_of
from eci_sql.udfs import Vectors
from jobs.output.tables import SUMS
from jobs.work.files import empty_batch
from jobs.work.layout import REFS, SCORED_SUMS

_SUM_NAMES = [column.name for column in SUMS]


def matrices_of(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of packed matrices as int64 (folds, P)."""
    values = table[name].combine_chunks().flatten().to_numpy()
    return np.asarray(values).reshape(len(table), -1 if len(table) else 0)


def folds_of_table(table: pa.Table, folds: int) -> Folds:
    """Return rows of one source by fold, as runs of layout 2 have published them; folds without examples are zeros."""
    at = table["fold"].to_numpy()
    examples = np.zeros(folds, dtype=np.int64)
    examples[at] = table["n_examples"].to_numpy()
    signs = []
    for name in ("plus", "minus"):
        rows = matrices_of(table, name)
        by_fold = dict(zip(at.tolist(), rows, strict=True))
        signs.append(FoldMatrices(folds, dim_of(rows.shape[1]), by_fold.get))
    return Folds(signs[0], signs[1], examples)


def as_lists(matrix: np.ndarray) -> pa.Array:
    """Return the rows of an int64 matrix (n, P) as Arrow lists."""
    flat = pa.array(np.ascontiguousarray(matrix).ravel())
    return pa.ListArray.from_arrays(pa.array(np.arange(len(matrix) + 1) * matrix.shape[1], pa.int32()), flat)


class Moments:
    """The running sums of one fold: residuals and means by source."""

    def __init__(self, sources: list[str], dim: int) -> None:
        self.sources, self.dim = sources, dim
        self.gathered: dict[tuple[str, bool], Gathered] = {}
        self.sums: dict[str, dict[str, int]] = {}

    def add_sums(self, table: pa.Table) -> None:
        """Add the rows of sums.sql."""
        for row in table.to_pylist():
            total = self.sums.setdefault(row.pop("source"), dict.fromkeys(["n_examples", *_SUM_NAMES], 0))
            for name, value in row.items():
                total[name] += value

    def of(self, source: str, plus: bool) -> Gathered:
        """Return what a source's trusted or distrusted residuals are added to."""
        return self.gathered.setdefault((source, plus), Gathered(self.dim))

    def write(self, out: pa.RecordBatchFileWriter, run_id: str, fold: int) -> None:
        """Write a batch for each source, of one row where it was met."""
        for source in self.sources:
            out.write_batch(self._row(run_id, fold, source) if source in self.sums else empty_batch(SCORED_SUMS))

    def _row(self, run_id: str, fold: int, source: str) -> pa.RecordBatch:
        row: dict[str, Any] = {"run_id": run_id, "source": source, "fold": fold, "dim": self.dim, **self.sums[source]}
        for name, plus in (("plus", True), ("minus", False)):
            gathered = self.of(source, plus)
            rows = gathered.rows
            row |= {
                name: gathered.upper() if rows is None else None,
                f"{name}_rows": None if rows is None else rows.ravel(),
            }
        return pa.RecordBatch.from_pylist([row], SCORED_SUMS)


def add_moments(moments: Moments, scored: pa.Table, vectors: Vectors) -> None:
    """Add the residuals of a part's scored triples to those of their sources."""
    refs = [scored[name].to_numpy() for name in REFS]
    add_signed(moments.of, scored, vectors.matrix, refs, scored["weight"].to_numpy())


def add_signed(
    of: Callable[[str, bool], Gathered],
    scored: pa.Table,
    vectors: np.ndarray,
    refs: Sequence[np.ndarray],
    weight: np.ndarray,
) -> None:
    """Add the residuals of scored triples to those of their sources, by the sign of their weights, exactly.

    Args:
        of: gives what a source's residuals of weights above (True) or below 0 are added to.
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
                of(source, plus).add(vectors, (q, p, n), s_pos[at], s_neg[at], weight[at])
