"""Reading and writing work files (layout.py), and publishing Parquet files of a run.

What a task writes is hashed as it is written; the hashes stand in its marker (markers.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.output.parquet import PARQUET_ROWS, Crc32, HashedFile, read_parquet, write_parquet
from jobs.work.job import Job
from jobs.work.layout import WorkFile
from jobs.work.summaries import PublishedFile

Files = dict[str, list[Any]]
"""Written files: by their paths relative to OUT, size in bytes and hash (SHA-256 of published ones, else CRC-32)."""
_written: ContextVar[Files | None] = ContextVar("written", default=None)


@contextmanager
def recording() -> Iterator[Files]:
    """Give what is written in the block, by this task."""
    files: Files = {}
    token = _written.set(files)
    try:
        yield files
    finally:
        _written.reset(token)


def _record(path: str, size: int, digest: str) -> None:
    files = _written.get()
    if files is not None:
        files[path] = [size, digest]


@contextmanager
def writing_bytes(job: Job, file: WorkFile, name: str) -> Iterator[HashedFile]:
    """Open the file of the task `name` for writing bytes; it appears when the block ends without an error."""
    relative = file.path(job, name)
    # read by this run alone, and checked where it goes on: waiting for the disk would take most of a small task's time
    with job.store.attempt(relative, durable=False) as path:
        with HashedFile(path, Crc32()) as sink:
            yield sink
        _record(relative, sink.size, sink.digest.hexdigest())


@contextmanager
def writing(job: Job, file: WorkFile, name: str) -> Iterator[pa.RecordBatchFileWriter]:
    """Open the file of the task `name` for writing; it appears when the block ends without an error."""
    options = pa.ipc.IpcWriteOptions(compression="lz4" if file.compressed else None)
    with (
        writing_bytes(job, file, name) as sink,
        pa.ipc.new_file(sink, file.schema_of(job), options=options) as out,
    ):
        yield out


@contextmanager
def reading(job: Job, file: WorkFile, name: str) -> Iterator[pa.RecordBatchFileReader]:
    """Open the file of the task `name` for reading single batches."""
    with job.store.open(file.path(job, name)) as source:
        yield pa.ipc.open_file(source)


def write_partitions(
    out: pa.RecordBatchFileWriter, table: pa.Table, partition: np.ndarray, partitions: int, base: int = 0
) -> None:
    """Write one batch a partition, in order, empty ones too. `partition` (n,) ascends and lies in base..base+partitions-1."""
    cuts = np.searchsorted(partition, np.arange(base, base + partitions + 1))
    whole = table.combine_chunks()
    for k in range(partitions):
        batches = whole.slice(cuts[k], cuts[k + 1] - cuts[k]).to_batches()
        out.write_batch(batches[0] if batches else empty_batch(whole.schema))


def empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of no rows."""
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def read_unfinished(job: Job, relative: str, **options: Any) -> pa.Table:
    """Read a file that this run has published, by its path in the run's folder; options are those of pyarrow's read_table."""
    with job.store.open(f"{job.publish}/{relative}") as source:
        return read_parquet(source, **options)


def publish(
    job: Job, relative: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS
) -> PublishedFile:
    """Write one published Parquet file of a run; returns what the manifest says of it.

    It is read by others only after the commit.
    """
    with job.store.attempt(f"{job.publish}/{relative}") as path:
        written = write_parquet(path, tables, schema, rows)
        _record(f"{job.publish}/{relative}", written["bytes"], written["sha256"])
    return {"path": relative, **written}
