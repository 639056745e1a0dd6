"""Rejected records of a reader, as a work file."""

from __future__ import annotations

from typing import Any

from jobs.formats.base import REJECTS
from jobs.work.files import writing
from jobs.work.job import Job


def work_rejects(job: Job, stage: str, name: str, frames: list[Any]) -> int:
    """Keep a task's rejects (frames with the columns REJECTS) in its work file; returns how many."""
    import polars as pl

    frame = pl.concat(frames) if frames else pl.DataFrame(schema=REJECTS)
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    with writing(job.store, job.at(stage, f"{name}.rejects.arrow"), table.schema) as out:
        out.write_table(table)
    return len(frame)
