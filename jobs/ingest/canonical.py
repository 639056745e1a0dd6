"""`eci ingest`: any format to the canonical `triples` Parquet, streaming, with the rejected records beside it.

Writes TO/<number>.parquet for each unit of input that has triples, and TO/_rejects/<number>.parquet where records were
rejected (folders that begin with `_` are not read as input; of the files of texts by id TO/_rejects/texts-<number>.parquet).
Rows are checked as a run checks them (checks.py), and ids become texts where the files with the texts are given. Checks
that need the whole input (duplicates, negatives that are positives) are a run's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import TEXT_COLUMNS
from jobs.formats.columnar import left_out
from jobs.ingest.inputs import InputTask, input_tasks, named_after_files, ranks_taken, text_tasks
from jobs.ingest.pinning import pinned, tables_read, with_left_out
from jobs.ingest.rejects import bad_file
from jobs.ingest.resolving import Resolver, resolver
from jobs.output.leftovers import filling
from jobs.output.parquet import write_parquet
from jobs.output.records import NamedSource, RanksTaken, TableUsed
from jobs.output.store import Store
from jobs.terminal.progress import Progress

_STRING = pa.large_string()
TRIPLES = pa.schema([(name, _STRING) for name in ("query", "positive", "negative", "query_id", "positive_id", "negative_id")]
                    + [("source", pa.string())])  # fmt: skip
REJECTS = pa.schema([("file", pa.string()), ("row", pa.int64()), ("source", pa.string()), ("reason", pa.string()),
                     ("detail", pa.string()), ("record", pa.string())])  # fmt: skip
FOLDER = "_rejects"
SEPARATOR = " "
"""Between a passage's title and its text: which encoder will read them is not known here."""


@dataclass(frozen=True)
class Ingested:
    """What was written: triples by source, rejected records by reason, files of triples.

    `ids_alone`: triples that hold an id in place of a text; a run needs the texts, or vectors by id.  `named_after_files`: the
    sources that are.  `passed_over`: files that hold no data, as a manifest has them.  `ranks`: those taken of run files.
    `tables`: those of a lake that were read, as a manifest has them.
    """

    triples: dict[str, int]
    rejects: dict[str, int]
    files: int
    ids_alone: int
    named_after_files: list[NamedSource]
    passed_over: list[dict[str, str]]
    ranks: list[RanksTaken]
    tables: list[TableUsed]


@dataclass
class _Writing:
    """What was written so far below one folder."""

    store: Store
    resolver: Resolver
    sources: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    met: dict[str, set[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    ids_alone: int = 0
    first: str = ""

    def triples(self, item: InputTask) -> None:
        """Write what one unit of input has."""
        rejects: list[pl.DataFrame] = []
        tables = self._tables(item, rejects)
        some = next(tables, None)
        if some is not None:  # else there is no file, which a run would have to skip
            path = f"{item.name}.parquet"
            with self.store.attempt(path) as attempt:
                write_parquet(attempt, chain([some], tables), TRIPLES)
            self.files.append(path)
        self.reject(item.name, item.path, rejects)

    def _tables(self, item: InputTask, rejects: list[pl.DataFrame]) -> Iterator[pa.Table]:
        if item.unit is None:
            self.rows += 1
            rejects.append(bad_file(item.error))
            return
        self.left_out[item.path] += left_out(item.unit)
        for batch in format_named(item.format).read(item.unit, item.options):
            rows, checked = self.resolver.resolved(batch.rows)
            self.rows += len(batch.rows) + len(batch.rejects)
            rejects += [frame for frame in (batch.rejects, checked.rejects) if len(frame)]
            self.sources.update(rows["source"].to_list())
            self.met.setdefault(item.name, set()).update(rows["source"].drop_nulls().to_list())
            self.ids_alone += rows.filter(pl.any_horizontal(pl.col(TEXT_COLUMNS).is_null())).height
            if len(rows):
                table: Any = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
                yield table.select(TRIPLES.names).cast(TRIPLES)

    def reject(self, name: str, path: str, frames: list[pl.DataFrame]) -> None:
        """Write the rejected records of one unit, by row."""
        if not frames:
            return
        frame = pl.concat(frames).sort("row", maintain_order=True)
        self.reasons.update(frame["reason"].to_list())
        self.first = self.first or f"; the first: {path} row {frame['row'][0]}: {frame['detail'][0]}"
        table: Any = frame.with_columns(pl.lit(path).alias("file")).to_arrow(compat_level=pl.CompatLevel.oldest())
        relative = f"{FOLDER}/{name}.parquet"
        with self.store.attempt(relative) as attempt:
            write_parquet(attempt, [table.select(REJECTS.names).cast(REJECTS)], REJECTS)


def ingest_to(config: RunConfig, progress: Progress) -> Ingested:
    """Write the triples of a configuration's inputs below its `out`, the texts of their ids from `corpus` and `queries`.

    Raises:
        InputError: `out` holds something already, an input cannot be opened (unless `skip_bad_files`), or no triple is
            left: nothing stays written then.
    """
    store = Store(config.out)
    with filling(store, r"\d{6}\.parquet|_rejects"):
        return _write(config, store, progress)


def _write(config: RunConfig, store: Store, progress: Progress) -> Ingested:
    config = pinned(config)
    inputs, files = input_tasks(config, SEPARATOR)
    with resolver(text_tasks(config, SEPARATOR)[0]) as found:
        writing = _Writing(store, found)
        progress.start("ingest", len(inputs), 0, None)
        for item in inputs:
            before = writing.rows
            writing.triples(item)
            progress.finished("ingest", item.name, {"rows": writing.rows - before})
        progress.end("ingest")
        if not writing.files:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in sorted(writing.reasons.items()))
            raise InputError(
                f"no triple is left: {writing.rows} rows in, all rejected ({reasons or 'none read'}){writing.first}"
            )
        for task, frame in found.rejects:
            writing.reject(f"texts-{task.name}", task.unit.path, [frame])
    by_source, by_reason = (dict(sorted(counts.items())) for counts in (writing.sources, writing.reasons))
    passed = [{"path": file.path, "what": file.what} for file in files if file.passed_over]
    named, ranks = named_after_files(inputs, writing.met), ranks_taken(inputs)
    left = {path: rows for path, rows in writing.left_out.items() if rows}
    tables = [with_left_out(table, left) for table in tables_read(config)]
    return Ingested(by_source, by_reason, len(writing.files), writing.ids_alone, named, passed, ranks, tables)
