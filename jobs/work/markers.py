"""Markers: a task is done when its summary is there."""

from __future__ import annotations

import json
from typing import cast

from jobs.work.job import Job
from jobs.work.summaries import Summary


def marker_of(job: Job, stage: str, name: str) -> str:
    """Return the path of the marker that says that a task is done; it holds the task's summary."""
    return job.at(stage, f"{name}.json")


def read_marker(job: Job, stage: str, name: str) -> Summary | None:
    """Return the summary of a finished task, or None."""
    try:
        return cast(Summary, json.loads(job.store.read_text(marker_of(job, stage, name))))
    except FileNotFoundError:
        return None


def write_marker(job: Job, stage: str, name: str, summary: Summary) -> None:
    """Mark a task as done, after all its files are in place."""
    job.store.write_text(marker_of(job, stage, name), json.dumps(summary))
