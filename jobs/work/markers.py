"""Markers: a task is done when its summary is there, and its files are as its marker says.

A marker holds the task's summary, size and hash of every file that the task has written, and a hash of itself.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

from jobs.errors import EciError
from jobs.output.parquet import Crc32
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.output.verified import hash_of
from jobs.work.files import Files
from jobs.work.job import Job
from jobs.work.summaries import MEASURED, Summary


class Marker(NamedTuple):
    """What a marker says: the task's summary (None where the marker is damaged), and the files that it has written."""

    summary: Summary | None
    files: Files


def marker_of(job: Job, stage: str, name: str) -> str:
    """Return the path of the marker that says that a task is done."""
    return job.at(stage, f"{name}.json")


def read_marker(job: Job, stage: str, name: str) -> Marker | None:
    """Return the marker of a finished task, or None."""
    return marker_at(job.store, marker_of(job, stage, name))


def marker_at(store: Store, path: str) -> Marker | None:
    """Return the marker that lies at a path, or None."""
    try:
        found = unsealed(store.read_text(path))
        return Marker(cast(Summary, found["summary"]), found["files"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        return Marker(None, {})


def write_marker(job: Job, stage: str, name: str, summary: Summary, files: Files) -> None:
    """Mark a task as done, after all its files are in place."""
    text = json.dumps(sealed({"summary": summary, "files": files}))
    job.store.write_text(marker_of(job, stage, name), text, durable=False)


def remove_marker(job: Job, stage: str, name: str) -> None:
    """Take back that a task is done."""
    job.store.remove(marker_of(job, stage, name))


def damaged_files(store: Store, marker: Marker) -> Files:
    """Read the files of a finished task; return those that are not as they were written, as they are now ([]: not there)."""
    found: Files = {}
    for path, said in marker.files.items():
        try:
            now: list[Any] = list(hash_of(store, path, Crc32() if len(said[1]) == 8 else None))
        except (OSError, EciError):
            now = []
        if now != said:
            found[path] = now
    return found


def same_outcome(one: Marker, other: Marker) -> bool:
    """Return whether two doings of a task have written the same bytes and said the same, but for what was measured."""
    if one.summary is None or other.summary is None or one.files != other.files:
        return False
    a, b = ({key: item for key, item in m.summary.items() if key not in MEASURED} for m in (one, other) if m.summary)
    return a == b
