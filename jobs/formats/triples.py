"""`triples`: Parquet, JSONL or CSV with columns query, positive, negative, source; or ids instead of texts.

Columns: query or query_id, positive or positive_id, negative or negative_id, and source (or --source NAME, or a folder
source=NAME above the file).
With texts, an id column beside the text is kept as the user's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.errors import InputError, nearest
from jobs.formats.base import (
    BATCH_ROWS,
    DEFAULT,
    ID_COLUMNS,
    REJECTS,
    ROWS,
    TEXT_COLUMNS,
    Batch,
    BatchBuilder,
    Options,
    Record,
    Unit,
    clip_record,
)
from jobs.formats.columnar import COLUMNAR, column_names, column_tables, container_of
from jobs.formats.columns import as_id, string_column, text_and_id
from jobs.formats.names import known_names
from jobs.formats.record_format import Item, Triple, read_records
from jobs.formats.records import columns_of, record_units
from jobs.formats.source_names import source_folder

COLUMNS = (*TEXT_COLUMNS, *ID_COLUMNS, "source")


class Triples:
    """The `triples` format."""

    name = "triples"
    records = "query, positive, negative (or `*_id`), source; Parquet, Arrow, JSONL, JSON array, CSV"
    sources = "the `source` column"

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut Parquet by row groups and JSONL by lines; a CSV file is read whole."""
        return record_units(path)

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        columns = columns_of(unit.path, options.columns)
        if columns is not None:
            check_columns(unit.path, columns, options)
        if container_of(unit.path) in COLUMNAR:
            yield from _read_columns(unit, options)
        else:
            yield from read_records(unit, options, _triple)


def check_columns(path: str, columns: Iterable[str], options: Options) -> None:
    """Raise InputError unless each of query, positive, negative is there by text or id, and a source is known."""
    present = list(columns)
    for name in TEXT_COLUMNS:
        if name not in present and f"{name}_id" not in present:
            raise InputError(
                f"{path}: no column {name!r} or '{name}_id'; its columns are {', '.join(present) or 'none'}"
                f"{nearest(name, present)} (format triples needs query, positive, negative and source; if one has "
                f"another name, say --columns {name}=NAME)"
            )
    if "source" not in present and options.source is None and source_folder(path) is None:
        raise InputError(f"{path}: no column 'source'; add one, or name the source of this input with --source NAME")


def _triple(record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
    named = zip(TEXT_COLUMNS, ID_COLUMNS, strict=True)
    texts, ids = zip(*(text_and_id(record.get(name), record.get(key), name) for name, key in named), strict=True)
    source = options.source if options.source is not None else as_id(record.get("source"), "source")
    yield Triple(texts, ids, source if source is not None else source_folder(path))


def _read_columns(unit: Unit, options: Options) -> Iterator[Batch]:
    names = column_names(unit.path)
    known = known_names(names, options.columns)
    wanted = {known.get(name, name): name for name in names if known.get(name, name) in COLUMNS}
    chosen = [name for name in COLUMNS if name in wanted]
    for first, table in column_tables(unit, [wanted[name] for name in chosen], BATCH_ROWS):
        if isinstance(table, Record):
            builder = BatchBuilder()
            builder.reject_bad(table)
            yield builder.take()
        else:
            yield _from_arrow(table.rename_columns(chosen), first, unit.path, options)


def _from_arrow(table: pa.Table, first_row: int, path: str, options: Options) -> Batch:
    columns: dict[str, Any] = {"row": pl.int_range(first_row, first_row + len(table), eager=True)}
    bad = pl.repeat(False, len(table), eager=True)
    for name in table.column_names:
        whole = name in TEXT_COLUMNS and pa.types.is_integer(table.schema.field(name).type)
        if whole and f"{name}_id" in table.column_names:
            raise InputError(
                f"{path}: column {name!r} holds whole numbers, which are ids, beside '{name}_id'; drop one of them"
            )
        # nobody's text is a bare number
        key = f"{name}_id" if whole else name
        columns[key], broken = string_column(table[name], path, key)
        bad = bad | broken
    rows = complete(pl.DataFrame(columns), options, source_folder(path))
    rejects = [
        (r["row"], r["source"], "invalid_utf8", "a text is not valid UTF-8", clip_record(r))
        for r in rows.filter(bad).iter_rows(named=True)
    ]
    return Batch.of(rows.filter(~bad), pl.DataFrame(rejects, schema=REJECTS, orient="row"))


def complete(rows: pl.DataFrame, options: Options, folder: str | None = None) -> pl.DataFrame:
    """Return rows with all columns of ROWS: absent ones as nulls, the source as the options say, or else the folder."""
    absent = [pl.lit(None, pl.String).alias(name) for name in ROWS if name not in rows.columns]
    rows = rows.with_columns(absent)
    if options.source is not None:
        rows = rows.with_columns(pl.lit(options.source).alias("source"))
    elif folder is not None:
        rows = rows.with_columns(pl.col("source").fill_null(folder))
    return rows.select(list(ROWS))
