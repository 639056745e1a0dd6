"""`eci ingest`: any format to the canonical `triples` Parquet, streaming, with the rejected records beside it.

Writes TO/<number>.parquet for each unit of input, and TO/_rejects/<number>.parquet where records were rejected (folders that
begin with `_` are not read as input). Texts and ids are kept as they are; checks that need the whole input (duplicates,
unknown ids) are a run's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Batch
from jobs.ingest.inputs import InputTask, named_after_files
from jobs.output.leftovers import filling
from jobs.output.parquet import write_parquet
from jobs.output.records import NamedSource
from jobs.output.store import Store
from jobs.terminal.progress import Progress

_STRING = pa.large_string()
TRIPLES = pa.schema([(name, _STRING) for name in ("query", "positive", "negative", "query_id", "positive_id", "negative_id")]
                    + [("source", pa.string())])  # fmt: skip
REJECTS = pa.schema([("file", pa.string()), ("row", pa.int64()), ("source", pa.string()), ("reason", pa.string()),
                     ("detail", pa.string()), ("record", pa.string())])  # fmt: skip


@dataclass(frozen=True)
class Ingested:
    """What was written: triples by source, rejected records by reason, files; the sources that are named after files."""

    triples: dict[str, int]
    rejects: dict[str, int]
    files: int
    named_after_files: list[NamedSource]


def ingest_to(inputs: tuple[InputTask, ...], folder: str, progress: Progress) -> Ingested:
    """Write every input's triples below `folder`.

    Raises:
        InputError: `folder` holds something already, or an input cannot be opened.
    """
    store = Store(folder)
    with filling(store, r"\d{6}\.parquet|_rejects"):
        return _write(inputs, store, progress)


def _write(inputs: tuple[InputTask, ...], store: Store, progress: Progress) -> Ingested:
    sources: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    files = 0
    met: dict[str, set[str]] = {}
    progress.start("ingest", len(inputs), 0, None)
    for item in inputs:
        if item.unit is None:
            raise InputError(item.error)
        rejects: list[pl.DataFrame] = []
        found: Counter[str] = Counter()
        batches = format_named(item.format).read(item.unit, item.options)
        with store.attempt(f"{item.name}.parquet") as path:
            rows = write_parquet(path, _tables(batches, found, rejects), TRIPLES)["rows"]
        files += 1
        sources.update(found)
        met[item.name] = set(found)
        if rejects:
            _write_rejects(store, item, pl.concat(rejects), reasons)
        progress.finished("ingest", item.name, {"rows": rows})
    progress.end("ingest")
    named = named_after_files(inputs, met)
    return Ingested(dict(sorted(sources.items())), dict(sorted(reasons.items())), files, named)


def _tables(batches: Iterator[Batch], sources: Counter[str], rejects: list[pl.DataFrame]) -> Iterator[pa.Table]:
    for batch in batches:
        if len(batch.rejects):
            rejects.append(batch.rejects)
        counts = batch.rows.group_by("source").len()
        for name, count in counts.iter_rows():
            sources[name or ""] += count
        table: Any = batch.rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        yield table.select(TRIPLES.names).cast(TRIPLES)


def _write_rejects(store: Store, item: InputTask, frame: pl.DataFrame, reasons: Counter[str]) -> None:
    for name, count in frame.group_by("reason").len().iter_rows():
        reasons[name] += count
    table: Any = frame.with_columns(pl.lit(item.path).alias("file")).to_arrow(compat_level=pl.CompatLevel.oldest())
    with store.attempt(f"_rejects/{item.name}.parquet") as path:
        write_parquet(path, [table.select(REJECTS.names).cast(REJECTS)], REJECTS)
