"""Stage `information`: the score of a source or hybrid from its sums, whole and without each fold."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.information import spectrum
from eci_sql.leave_out import delete_one
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from jobs.output.tables import SUMS
from jobs.scoring.moments import matrices_of, merged, read_source
from jobs.work.job import Job

COUNTS = ("n_examples", *(column.name for column in SUMS))


def information_task(job: Job, name: str, numbers: list[int], folds: list[str]) -> dict[str, Any]:
    """Score a source, or several pooled to a hybrid, from moments: the whole, and without each fold."""
    table = read_source(job, numbers[0], folds)
    if len(numbers) > 1:
        table = merged((read_source(job, number, folds) for number in numbers), job.folds)
    if not len(table):
        return dict.fromkeys(COUNTS, 0)
    # the last bits of a log-determinant follow the number of BLAS threads
    with threadpool_limits(1, "blas"):
        return _information(job, table)


def _information(job: Job, table: pa.Table) -> dict[str, Any]:
    counts = {count: int(sum(table[count].to_pylist())) for count in COUNTS}
    plus, minus = matrices_of(table, "plus"), matrices_of(table, "minus")
    score, leave_out = delete_one(plus, minus, table["n_examples"].to_numpy(), job.lam)
    whole = sum_packed(plus)
    trace, rank = spectrum(unpack_upper(whole, dim_of(len(whole))) / counts["n_examples"])
    return {
        **counts,
        **asdict(score),
        "leave_out": dict(zip(table["fold"].to_pylist(), leave_out.tolist(), strict=True)),
        "trace": trace,
        "effective_rank": rank,
        "folds_done": len(table),
    }
