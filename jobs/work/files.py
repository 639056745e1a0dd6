"""Work files: what stages hand to one another, as Arrow IPC files that are read batch by batch.

Batch k of a file belongs to partition k (a fold, a bucket, a cell), so that a reader takes its own part and nothing
else. Also: the `Job` that every task receives, and Parquet files whose bytes depend on their rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.output.store import Store

PARQUET_ROWS = 25_000


@dataclass(frozen=True)
class Job:
    """What a task must know: where, and with which settings. Small, and the same for all tasks of a run.

    Attributes:
        out: the output root.  work: the run's work folder.  publish: the folder that becomes `runs/<run_id>`.
        encoder: an encoder's name or folder, None with --vectors.  dim: the vectors' dimension.
        threads: threads of one worker.  share: memory of one worker, bytes.  part_texts: most texts of a fold's part.
    """

    out: str
    work: str
    publish: str
    run_id: str
    folds: int
    buckets: int
    encoder: str | None
    fingerprint: str
    dim: int
    temperature: float
    kappa: float
    lam: float
    tokenizer: str
    threads: int
    share: int
    part_texts: int

    @property
    def vector_type(self) -> np.dtype[Any]:
        """The numbers of a vector: float16 of an encoder's cache, float32 of the user's own."""
        return np.dtype(np.float32 if self.encoder is None else np.float16)

    @property
    def store(self) -> Store:
        """The output root as a store."""
        return Store(self.out)

    def at(self, stage: str, name: str) -> str:
        """Return the path of a work file, relative to OUT."""
        return f"{self.work}/{stage}/{name}"


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


def write_parquet(path: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS) -> int:
    """Write tables as one Parquet file and return its number of rows.

    Row groups are cut at every `rows` rows whatever the tables' sizes, so that equal rows give equal bytes. Names and small
    numbers get a dictionary; for ids and scores, nearly all distinct, it would double the time and add to the size.
    Packed matrices are packed to the bits that they take, which is smaller than what zstd makes of them, and read in half
    the time.
    """
    total, pending = 0, schema.empty_table()
    repeated = [field.name for field in schema if field.type in (pa.string(), pa.int32())]
    matrices = [f"{field.name}.list.element" for field in schema if field.type == pa.list_(pa.int64())]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=repeated,
        column_encoding=dict.fromkeys(matrices, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            pending = pa.concat_tables([pending, table.cast(schema)])
            while len(pending) >= rows:
                writer.write_table(pending.slice(0, rows).combine_chunks(), row_group_size=rows)
                pending, total = pending.slice(rows), total + rows
        if len(pending) or not total:
            writer.write_table(pending.combine_chunks(), row_group_size=rows)
    return total + len(pending)


def publish(job: Job, relative: str, tables: Iterable[pa.Table], schema: pa.Schema, rows: int = PARQUET_ROWS) -> int:
    """Write one published Parquet file of a run; returns its rows. It is read by others only after the commit."""
    with job.store.attempt(f"{job.publish}/{relative}") as path:
        return write_parquet(path, tables, schema, rows)


def marker_of(job: Job, stage: str, name: str) -> str:
    """Return the path of the marker that says that a task is done; it holds the task's summary."""
    return job.at(stage, f"{name}.json")


def read_marker(job: Job, stage: str, name: str) -> dict[str, Any] | None:
    """Return the summary of a finished task, or None."""
    try:
        return dict(json.loads(job.store.read_text(marker_of(job, stage, name))))
    except FileNotFoundError:
        return None


def write_marker(job: Job, stage: str, name: str, summary: dict[str, Any]) -> None:
    """Mark a task as done, after all its files are in place."""
    job.store.write_text(marker_of(job, stage, name), json.dumps(summary))
