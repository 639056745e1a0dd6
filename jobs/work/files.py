"""Work files: what stages hand to one another, as Arrow IPC files that are read batch by batch.

Batch k of a file belongs to partition k (a fold, a bucket, a cell), so that a reader takes its own part and nothing
else. Also: the `Job` that every task receives, and Parquet files whose bytes depend on their rows alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from jobs.output.parquet import PARQUET_ROWS, write_parquet
from jobs.output.store import Store
from jobs.work.job import Job


@contextmanager
def writing(
    store: Store, relative: str, schema: pa.Schema, compression: str | None = "lz4"
) -> Iterator[pa.RecordBatchFileWriter]:
    """Open an IPC file for writing; it appears at `relative` when the block ends without an error."""
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        store.attempt(relative) as path,
        pa.OSFile(path, "wb") as sink,
        pa.ipc.new_file(sink, schema, options=options) as out,
    ):
        yield out


@contextmanager
def reading(store: Store, relative: str) -> Iterator[pa.RecordBatchFileReader]:
    """Open an IPC file for reading single batches."""
    with store.open(relative) as source:
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


def publish(job: Job, relative: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS) -> int:
    """Write one published Parquet file of a run; returns its rows. It is read by others only after the commit."""
    with job.store.attempt(f"{job.publish}/{relative}") as path:
        return write_parquet(path, tables, schema, rows)
