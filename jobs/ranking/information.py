"""Stage `information`: the score of a source or hybrid from its sums, whole and without each fold."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from eci_sql.connection import kept, statement
from eci_sql.information import spectrum
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from eci_sql.udfs import register_information
from jobs.output.tables import SUMS
from jobs.scoring.moments import as_lists, matrices_of, merged, read_source
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
    examples = table["n_examples"].to_numpy()
    whole_plus, whole_minus = sum_packed(plus), sum_packed(minus)
    sums = pa.table(
        {
            "fold": pa.array([None, *table["fold"].to_pylist()], pa.int32()),
            "n_examples": pa.array(np.concatenate([[counts["n_examples"]], counts["n_examples"] - examples])),
            "plus": as_lists(np.concatenate([whole_plus[None], whole_plus - plus])),
            "minus": as_lists(np.concatenate([whole_minus[None], whole_minus - minus])),
        }
    )
    with kept(job.share // 2, 1, register_information, sums=sums) as (con, _):
        rows = con.sql(statement("information"), params={"lambda": job.lam}).to_arrow_table().to_pylist()
    trace, rank = spectrum(unpack_upper(whole_plus, dim_of(len(whole_plus))) / counts["n_examples"])
    estimates: Estimates = {
        "information": rows[0]["information"],
        "misinformation": rows[0]["misinformation"],
        "purity": rows[0]["purity"],
        "eci": rows[0]["eci"],
        "leave_out": {str(row["fold"]): row["eci"] for row in rows[1:]},
        "trace": trace,
        "effective_rank": rank,
        "folds_done": len(table),
    }
    return cast(Information, {**counts, **estimates})
