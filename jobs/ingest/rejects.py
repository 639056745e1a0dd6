"""Rejected records of a reader, as a work file."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from jobs.formats.base import REJECTS
from jobs.work.files import writing
from jobs.work.job import Job
from jobs.work.layout import WorkFile


def work_rejects(job: Job, file: WorkFile, name: str, frames: Sequence[pl.DataFrame]) -> int:
    """Keep a task's rejects (frames with the columns REJECTS) in its work file; returns how many."""
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=REJECTS)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    with writing(job, file, name) as out:
        out.write_table(table)
    return len(frame)


def bad_file(error: str) -> pl.DataFrame:
    """Return a file that cannot be opened as one reject (--skip-bad-files)."""
    return pl.DataFrame([(0, None, "bad_record", error, '""')], schema=REJECTS, orient="row")
