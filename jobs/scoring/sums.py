"""The sums of a source by fold, read from what the score tasks have left: fold by fold, looks put together.

A fold is rounded when it is whole: in how many looks it came makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.folds import Folds, by_sign, pooled
from eci_sql.moments import IntArray, add_outer, rounded, upper_of
from jobs.output.tables import MOMENTS as TABLE
from jobs.output.tables import SUMS
from jobs.scoring.moments import as_lists
from jobs.work.files import reading
from jobs.work.job import Job
from jobs.work.layout import MOMENTS

COUNTS = ("n_examples", *(column.name for column in SUMS))
_COLUMNS = ("run_id", "source", "fold", "dim", *COUNTS)


@dataclass(frozen=True)
class SourceSums:
    """Sums of a source, or of several as one: `counts` by fold, a row for each that has examples; `sums` of all folds."""

    counts: list[dict[str, Any]]
    sums: Folds

    def total(self, name: str) -> int:
        """Return a count over all folds."""
        return sum(int(row[name]) for row in self.counts)


def read_source(job: Job, numbers: Sequence[int], scored: list[str]) -> SourceSums:
    """Return the sums of the sources with these numbers as those of one. `scored`: score tasks, FF or FF-KK."""
    each = [_read_one(job, number, scored) for number in numbers]
    found: dict[int, dict[str, Any]] = {}
    for source in each:
        _count(found, source.counts)
    sums = each[0].sums if len(each) == 1 else pooled([source.sums for source in each])
    return SourceSums([found[fold] for fold in sorted(found)], sums)


def _count(found: dict[int, dict[str, Any]], rows: Iterable[dict[str, Any]]) -> None:
    """Add rows of counts to those of their folds."""
    for row in rows:
        before = found.setdefault(row["fold"], row | dict.fromkeys(COUNTS, 0))
        before |= {name: before[name] + row[name] for name in COUNTS}


def _read_one(job: Job, number: int, scored: list[str]) -> SourceSums:
    found: dict[int, dict[str, Any]] = {}
    tasks: dict[int, list[str]] = {}
    kept: dict[str, list[tuple[int, np.ndarray]] | None] = {"plus": [], "minus": []}
    for task in scored:
        batch = _batch(job, number, task)
        for row in batch.select(_COLUMNS).to_pylist():
            _count(found, [row])
            tasks.setdefault(row["fold"], []).append(task)
            for sign, rows in kept.items():
                here = batch[f"{sign}_rows"][0]
                if rows is None or not here.is_valid:
                    kept[sign] = None  # it has a sum: the rows are too many
                else:
                    rows.append((row["fold"], here.values.to_numpy().reshape(-1, job.dim)))
    plus, minus = (
        by_sign(job.folds, job.dim, partial(_fold, job, number, tasks, sign), rows) for sign, rows in kept.items()
    )
    examples = np.zeros(job.folds, dtype=np.int64)
    for fold, row in found.items():
        examples[fold] = row["n_examples"]
    return SourceSums([found[fold] for fold in sorted(found)], Folds(plus, minus, examples))


def _batch(job: Job, number: int, task: str) -> pa.RecordBatch:
    with reading(job, MOMENTS, task) as file:
        return file.get_batch(number)


def _fold(job: Job, number: int, tasks: dict[int, list[str]], sign: str, fold: int) -> IntArray | None:
    """Return one fold's packed sum, from the tasks that have scored parts of it; None where there is none."""
    total: IntArray | None = None
    for task in tasks.get(fold, []):
        batch = _batch(job, number, task)
        if batch[sign][0].is_valid:
            upper = batch[sign][0].values.to_numpy()
        else:
            matrix = np.zeros((job.dim, job.dim), dtype=np.int64)
            add_outer(matrix, batch[f"{sign}_rows"][0].values.to_numpy().reshape(-1, job.dim).astype(np.float64))
            upper = upper_of(matrix)
        total = upper if total is None else total + upper
    return None if total is None else rounded(total)


def published_row(source: SourceSums) -> pa.Table:
    """Return the row of `moments` of a source; none where nothing was scored.

    Raises:
        MetricError: sums too large for int64.
    """
    if not source.counts:
        return TABLE.schema.empty_table()
    row: dict[str, Any] = {name: source.counts[0][name] for name in ("run_id", "source", "dim")}
    columns = {name: [value] for name, value in (row | {name: source.total(name) for name in COUNTS}).items()}
    matrices = {"plus": as_lists(source.sums.plus.whole[None]), "minus": as_lists(source.sums.minus.whole[None])}
    return pa.table({name: (columns | matrices)[name] for name in TABLE.schema.names}).cast(TABLE.schema)
