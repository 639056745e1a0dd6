"""Stage `information`: the score of a source or hybrid from its sums, whole and without each fold."""

from __future__ import annotations

from typing import cast

import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.information import spectrum
from eci_sql.leave_out import delete_one
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from jobs.output.tables import SUMS
from jobs.scoring.moments import matrices_of, merged, read_source
from jobs.work.job import Job
from jobs.work.summaries import Estimates, Information, Sums

COUNTS = ("n_examples", *(column.name for column in SUMS))


def information_task(job: Job, name: str, numbers: list[int], scored: list[str]) -> Information:
    """Score a source, or several pooled to a hybrid, from moments: the whole, and without each fold.

    Args:
        numbers: of the sources.  scored: score tasks.
    """
    table = read_source(job, numbers[0], scored)
    if len(numbers) > 1:
        table = merged((read_source(job, number, scored) for number in numbers), job.folds)
    if not len(table):
        return cast(Information, dict.fromkeys(COUNTS, 0))
    # the last bits of a log-determinant follow the number of BLAS threads
    with threadpool_limits(1, "blas"):
        return _information(job, table)


def _information(job: Job, table: pa.Table) -> Information:
    counts = cast(Sums, {count: int(sum(table[count].to_pylist())) for count in COUNTS})
    plus, minus = matrices_of(table, "plus"), matrices_of(table, "minus")
    score, leave_out = delete_one(plus, minus, table["n_examples"].to_numpy(), job.lam)
    whole = sum_packed(plus)
    trace, rank = spectrum(unpack_upper(whole, dim_of(len(whole))) / counts["n_examples"])
    estimates: Estimates = {
        "information": score.information,
        "misinformation": score.misinformation,
        "purity": score.purity,
        "eci": score.eci,
        "leave_out": {str(fold): eci for fold, eci in zip(table["fold"].to_pylist(), leave_out.tolist(), strict=True)},
        "trace": trace,
        "effective_rank": rank,
        "folds_done": len(table),
    }
    return cast(Information, {**counts, **estimates})
