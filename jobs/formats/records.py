"""Records one by one, whatever holds them: JSONL, a JSON array, Parquet or CSV.

Positions: lines and elements count from 1, rows of Parquet from 0. A damaged file gives every record before the damage
and one bad record for the rest.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.errors import InputError, reason_of
from jobs.formats.base import BATCH_BYTES, BadRecordError, Record, Unit
from jobs.formats.compression import READ_ERRORS
from jobs.formats.delimited import READ_FAILURES, delimited_rows
from jobs.formats.json_elements import elements
from jobs.formats.opening import (
    extension_of,
    filesystem,
    head,
    line_units,
    lines,
    open_input,
    parse_json,
    refuse_pointer,
)

PARQUET_UNIT_ROWS = 1_000_000
PARQUET_BATCH_ROWS = 4_096

# A list of objects or of lists; a line that is itself a list (["query", "positive", "negative"]) is not one.
_ARRAY = re.compile(rb"\s*\[\s*[\[{\]]")


def container_of(path: str) -> str:
    """Return what holds the records, by the ending of the name: `parquet`, `csv`, `tsv`, or `json` for all else."""
    kind = extension_of(path)
    return kind if kind in ("parquet", "csv", "tsv") else "json"


def record_units(path: str) -> list[Unit]:
    """Cut a file into units: Parquet by row groups, JSONL by lines; a CSV file or a JSON array is read whole."""
    refuse_pointer(path)
    kind = container_of(path)
    if kind == "parquet":
        return parquet_units(path)
    return [Unit(path)] if kind in ("csv", "tsv") or holds_array(path) else line_units(path)


def records(unit: Unit) -> Iterator[Record]:
    """Yield the records of a unit: objects as dicts, or any other JSON value."""
    kind = container_of(unit.path)
    if kind == "parquet":
        return parquet_records(unit)
    if kind in ("csv", "tsv"):
        return csv_records(unit, "," if kind == "csv" else "\t")
    return json_records(unit)


def holds_array(path: str) -> bool:
    """Whether a file is one JSON array (and not lines of JSON), by its first characters."""
    return _ARRAY.match(head(path)) is not None


def rest(row: int, error: BaseException) -> Record:
    """Return the bad record that stands for the unreadable rest of a file."""
    detail = f"nothing can be read from here on: {reason_of(error)}"
    return Record(row, None, "", BadRecordError("bad_record", detail))


def parsed(row: int, data: bytes) -> Record:
    """Return the record that is one JSON value."""
    try:
        return Record(row, parse_json(data), data)
    except BadRecordError as error:
        return Record(row, None, data, error)


def json_records(unit: Unit) -> Iterator[Record]:
    """Yield the values of a JSON array or of lines of JSON."""
    row = unit.first_row - 1
    try:
        if unit.start == 0 and holds_array(unit.path):
            with open_input(unit.path) as file:
                for row, element in enumerate(elements(file), start=1):
                    yield parsed(row, element)
        else:
            for row, line in lines(unit):
                if line.strip():
                    yield parsed(row, line)
    except (*READ_ERRORS, BadRecordError) as error:
        yield rest(row + 1, error)


def csv_records(unit: Unit, delimiter: str) -> Iterator[Record]:
    """Yield the rows of a delimited file with a header line as dicts of strings. Positions count rows, the header being 1.

    Raises:
        InputError: as `delimited_rows`.
    """
    row, header = 0, list[str]()
    try:
        for row, values in delimited_rows(unit, delimiter):
            if isinstance(values, Record):
                yield values
            elif row == 1:
                header = values
            elif len(values) != len(header):
                detail = f"{len(values)} fields where the header has {len(header)}"
                yield Record(row, None, values, BadRecordError("bad_record", detail))
            else:
                yield Record(row, dict(zip(header, values, strict=True)), values)
    except READ_FAILURES as error:
        yield rest(row + 1, error)


def columns_of(path: str) -> list[str] | None:
    """Return the column names of a Parquet or CSV file, None for files of JSON."""
    kind = container_of(path)
    if kind == "parquet":
        with parquet_file(path) as file:
            return list(file.schema_arrow.names)
    if kind == "json":
        return None
    first = head(path).decode("utf-8", "replace")
    return next(csv.reader(io.StringIO(first), delimiter="," if kind == "csv" else "\t"), [])


def parquet_file(path: str) -> pq.ParquetFile:
    """Open a Parquet file by path or URL. Raises InputError when it is not one."""
    fs, inner = filesystem(path)
    try:
        # pre-buffering would hold all row groups that are asked for in memory at once
        return pq.ParquetFile(fs.open(inner, "rb"), pre_buffer=False)
    # ValueError: a column's name that is not UTF-8.
    except (*READ_ERRORS, ValueError) as error:
        raise InputError(f"{path}: cannot be opened as Parquet: {reason_of(error)}") from error


def parquet_units(path: str) -> list[Unit]:
    """Cut a Parquet file into ranges of row groups of about PARQUET_UNIT_ROWS rows."""
    with parquet_file(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    units, start, row, first = [], 0, 0, 0
    for i, size in enumerate(sizes):
        row += size
        if row - first >= PARQUET_UNIT_ROWS or i == len(sizes) - 1:
            units.append(Unit(path, start, i + 1, first))
            start, first = i + 1, row
    return units or [Unit(path, 0, 0, 0)]


def parquet_tables(unit: Unit, columns: list[str] | None, batch_rows: int) -> Iterator[tuple[int, pa.Table | Record]]:
    """Yield (position of the first row, rows) of a unit batch by batch; a bad record in place of what is damaged.

    A batch has at most `batch_rows` rows, and fewer where they are so large that it would exceed BATCH_BYTES.
    """
    row = unit.first_row
    with parquet_file(unit.path) as file:
        stop = file.num_row_groups if unit.stop is None else unit.stop
        groups = list(range(unit.start, stop))
        size = max((_row_bytes(file.metadata.row_group(i)) for i in groups), default=1)
        batch_rows = min(batch_rows, max(1, BATCH_BYTES // size))
        try:
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=columns):
                yield row, pa.table(batch)
                row += batch.num_rows
        except (*READ_ERRORS, ValueError) as error:
            yield row, rest(row, error)


def _row_bytes(group: Any) -> int:
    return max(1, int(group.total_byte_size) // max(1, int(group.num_rows)))


def parquet_records(unit: Unit) -> Iterator[Record]:
    """Yield the rows of a Parquet unit as dicts."""
    for first, table in parquet_tables(unit, None, PARQUET_BATCH_ROWS):
        if isinstance(table, Record):
            yield table
            continue
        try:
            for row, value in enumerate(table.to_pylist(), start=first):
                yield Record(row, value, value)
        except UnicodeDecodeError:
            for i in range(len(table)):
                yield _parquet_record(first + i, table.slice(i, 1))


def _parquet_record(row: int, table: pa.Table) -> Record:
    try:
        value = cast("dict[str, Any]", table.to_pylist()[0])
        return Record(row, value, value)
    except UnicodeDecodeError:
        return Record(row, None, "", BadRecordError("invalid_utf8", "a text is not valid UTF-8"))
