"""The tables over all runs that are published: which of a run's tables, their columns, comments and partitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import DamagedError, InputError, reason_of
from jobs.output import layout
from jobs.output.records import Manifest
from jobs.output.runs import layout_of
from jobs.output.store import Store
from jobs.output.tables import REJECTS, SCORES, SOURCE_ECI, SOURCE_PAIRS, SOURCE_PROBE, TEXT_IDS, Table
from jobs.output.verified import opened

SMALL = (SOURCE_PAIRS, SOURCE_PROBE, REJECTS)
"""Published of every run that has them, before SOURCE_ECI: a run that stands there is whole."""
GROWING = (REJECTS, SCORES)
"""Tables with rows by row of the input: partitioned by the day of their run."""
DAY = pa.field("run_day", pa.date32())
DAY_COMMENT = "the day when the run was committed (UTC)"


@dataclass(frozen=True)
class Made:
    """A table that eci-lake makes: its columns, what each holds, its comment, what messages call it, its partitions."""

    schema: pa.Schema
    comments: Mapping[str, str]
    comment: str
    what: str
    partitions: tuple[str, ...] = ()


def published_tables(scores: bool) -> tuple[Table, ...]:
    """Return the tables that are published, in order."""
    return (*((SCORES,) if scores else ()), *SMALL, SOURCE_ECI)


def schema_of(table: Table) -> pa.Schema:
    """Return the columns of a table over all runs."""
    return table.schema.append(DAY) if table in GROWING else table.schema


def comments_of(table: Table) -> dict[str, str]:
    """Return what each column of a table over all runs holds."""
    return {column.name: column.comment for column in table.columns} | {DAY.name: DAY_COMMENT}


def partitions_of(table: Table) -> list[str]:
    """Return the columns that a table over all runs is partitioned by."""
    return [DAY.name] if table in GROWING else []


def over_all_runs(table: Table) -> Made:
    """Return a table over all runs."""
    return Made(
        schema_of(table), comments_of(table), f"{table.name} of eci-lake, over all runs", "the table that runs are published to",
        tuple(partitions_of(table)),
    )  # fmt: skip


def rows_in(manifest: Manifest, table: Table) -> int:
    """Return how many rows a run has in a table."""
    return sum(file["rows"] for file in manifest["files"] if file["table"] == table.name)


def altered(address: str, what: str, wrong: list[str]) -> str:
    """Return the sentence for a table that is not as ours is. `what`: what ours is."""
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{address}: not {what}: {wrong[0]}{more}; somebody has altered it, or a newer eci-lake has: mend it, or name another place"


def batches_of(store: Store, manifest: Manifest, table: Table) -> pa.RecordBatchReader:
    """Return a run's rows of a table as `schema_of` has them, batch by batch; each file is checked first.

    Raises:
        InputError: the run is of a version whose ids are no text.  DamagedError (while it is read): a file is damaged.
    """
    if table is SCORES and layout_of(manifest) < TEXT_IDS:
        raise InputError(
            f"run {manifest['run_id']} is of a version of eci-lake whose ids are UUIDs; run again to publish scores"
        )
    return pa.RecordBatchReader.from_batches(schema_of(table), _batches(store, manifest, table))


def _batches(store: Store, manifest: Manifest, table: Table) -> Iterator[pa.RecordBatch]:
    folder = layout.run_folder(manifest["run_id"])
    schema, day = schema_of(table), datetime.fromisoformat(manifest["created_at"]).date()
    for file in manifest["files"]:
        if file["table"] == table.name:
            with ExitStack() as stack:
                source = stack.enter_context(opened(store, folder, file, mapped=False))
                try:
                    for batch in pq.ParquetFile(source, page_checksum_verification=True).iter_batches():
                        yield _as_published(batch, schema, day)
                except (OSError, pa.ArrowException) as error:
                    raise DamagedError(f"{store.path(folder)}/{file['path']}: damaged: {reason_of(error)}") from error


def _as_published(batch: pa.RecordBatch, schema: pa.Schema, day: date) -> pa.RecordBatch:
    """Return a batch with a table's columns: those that came with a later version are null, the day is the run's."""
    columns = []
    for field in schema:
        if field.name in batch.schema.names:
            columns.append(batch.column(field.name).cast(field.type))
        else:
            value = pa.scalar(day if field.name == DAY.name else None, field.type)
            columns.append(pa.repeat(value, len(batch)))
    return pa.record_batch(columns, schema=schema)
