"""Reading and writing work files (layout.py), and publishing Parquet files of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.output.parquet import PARQUET_ROWS, write_parquet
from jobs.work.job import Job
from jobs.work.layout import WorkFile
from jobs.work.summaries import PublishedFile


@contextmanager
def writing(job: Job, file: WorkFile, name: str) -> Iterator[pa.RecordBatchFileWriter]:
    """Open the file of the task `name` for writing; it appears when the block ends without an error."""
    options = pa.ipc.IpcWriteOptions(compression="lz4" if file.compressed else None)
    with (
        job.store.attempt(file.path(job, name)) as path,
        pa.OSFile(path, "wb") as sink,
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
        return pq.read_table(source, page_checksum_verification=True, **options)


def publish(
    job: Job, relative: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS
) -> PublishedFile:
    """Write one published Parquet file of a run; returns what the manifest says of it.

    It is read by others only after the commit.
    """
    with job.store.attempt(f"{job.publish}/{relative}") as path:
        return {"path": relative, **write_parquet(path, tables, schema, rows)}
