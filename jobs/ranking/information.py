"""Stage `information`: the score of a source or hybrid from its sums, whole and without each fold."""

from __future__ import annotations

from typing import cast

from threadpoolctl import threadpool_limits

from eci_sql.leave_out import delete_one
from jobs.scoring.sums import COUNTS, SourceSums, read_source
from jobs.work.job import Job
from jobs.work.summaries import Estimates, Information, Sums


def information_task(job: Job, name: str, numbers: list[int], scored: list[str]) -> Information:
    """Score a source, or several pooled to a hybrid, from moments: the whole, and without each fold.

    Args:
        numbers: of the sources.  scored: score tasks.
    """
    source = read_source(job, numbers, scored)
    if not source.counts:
        return cast(Information, dict.fromkeys(COUNTS, 0))
    # the last bits of a log-determinant follow the number of BLAS threads
    with threadpool_limits(1, "blas"):
        return _information(job, source)


def _information(job: Job, source: SourceSums) -> Information:
    counts = cast(Sums, {count: source.total(count) for count in COUNTS})
    score, leave_out = delete_one(source.sums, job.lam)
    trace, rank = source.sums.plus.spectrum(counts["n_examples"])
    folds = [row["fold"] for row in source.counts]
    estimates: Estimates = {
        "information": score.information,
        "misinformation": score.misinformation,
        "purity": score.purity,
        "eci": score.eci,
        "leave_out": {str(fold): float(leave_out[fold]) for fold in folds},
        "trace": trace,
        "effective_rank": rank,
        "folds_done": len(folds),
    }
    return cast(Information, {**counts, **estimates})
