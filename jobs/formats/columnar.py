"""Files of columns: Parquet, and Arrow's IPC files (Feather) and streams (as Hugging Face's `save_to_disk` writes them).

Covers: cutting them into units, tables batch by batch, rows as dicts. Positions count rows from 0. What a column means is
the formats' affair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from jobs.errors import InputError, reason_of
from jobs.formats.base import BATCH_BYTES, BadRecordError, Record, Unit
from jobs.formats.bounded import LIMIT, cut, in_bounds
from jobs.formats.compression import READ_ERRORS
from jobs.formats.opening import beginning, extension_of, filesystem
from jobs.lakes.naming import named
from jobs.lakes.tables import as_its_table_has_it

PARQUET_UNIT_ROWS = 1_000_000
RECORD_ROWS = 4_096
COLUMNAR = ("parquet", "arrow")
_ENDINGS = {"parquet": "parquet", "arrow": "arrow", "feather": "arrow", "ipc": "arrow", "csv": "csv", "tsv": "tsv"}
# a damaged file may ask for more memory than any machine has
ARROW_ERRORS = (*READ_ERRORS, ValueError, pa.ArrowMemoryError)
GONE = "the table has given up the file (a vacuum, expired snapshots): run again, on the newest version"
_STREAM = b"\xff\xff\xff\xff"
_BEGINNINGS = {b"PAR1": "parquet", b"ARROW1\0\0": "arrow", _STREAM: "arrow"}


def container_of(path: str) -> str:
    """Return what holds the records: `parquet`, `arrow`, `csv`, `tsv`, or `json` for all else.

    A file of columns is known by its first bytes too, whatever its name. Raises InputError where it cannot be opened.
    """
    ending = _ENDINGS.get(extension_of(path), "json")
    if ending in COLUMNAR:
        return ending
    first = beginning(path)
    return next((kind for magic, kind in _BEGINNINGS.items() if first.startswith(magic)), ending)


def rows_taken(path: str) -> tuple[int, bool]:
    """Return how many rows a file of columns has, and whether it is exact: what --where takes is estimated by a row group."""
    rows, given = column_rows(path), named(path)
    if given is None or not given.where or not rows:
        return rows, True
    with parquet_file(path) as file:
        first = file.rows_of(0)
        return round(rows * (1 - file.left_out([0]) / first)) if first else rows, False


def rest(row: int, error: BaseException) -> Record:
    """Return the bad record that stands for the unreadable rest of a file."""
    detail = f"nothing can be read from here on: {reason_of(error)}"
    return Record(row, None, "", BadRecordError("bad_record", detail))


def column_names(path: str) -> list[str]:
    """Return the columns' names. Raises InputError when the file cannot be opened."""
    if container_of(path) == "arrow":
        with arrow_reader(path) as reader:
            return list(reader.schema.names)
    with parquet_file(path) as file:
        return list(file.schema_arrow.names)


def column_units(path: str) -> list[Unit]:
    """Cut a file into units: Parquet by row groups; an Arrow file is read whole."""
    if container_of(path) == "parquet":
        return parquet_units(path)
    with arrow_reader(path):
        return [Unit(path, first_row=0)]


def column_rows(path: str) -> int:
    """Return how many rows a file of columns has. Raises InputError when it cannot be opened."""
    if container_of(path) == "parquet":
        with parquet_file(path) as file:
            return int(file.metadata.num_rows)
    with arrow_reader(path) as reader:
        try:
            return sum(batch.num_rows for batch in _batches(reader))
        except ARROW_ERRORS as error:
            raise InputError(f"{path}: damaged: {reason_of(error)}") from error


def arrow_reader(path: str) -> Any:
    """Open an Arrow IPC file or stream. Raises InputError when it is none."""
    try:
        stream = beginning(path).startswith(_STREAM)
        reader = (pa.ipc.open_stream if stream else pa.ipc.open_file)(_opened(path))
        # names that are no UTF-8 are found here
        reader.schema.names.copy()
        return reader
    except ARROW_ERRORS as error:
        raise InputError(f"{path}: cannot be opened as Arrow (IPC file or stream): {reason_of(error)}") from error


def _opened(path: str) -> Any:
    """Open a file for Arrow's readers: a local one by Arrow itself.

    What its threads have read through a file of Python's is Python's; if the last of it is freed after the interpreter's end, the
    process is aborted.

    Raises:
        InputError: as `filesystem`.  OSError: it cannot be opened.
    """
    fs, inner = filesystem(path)
    opened = fs.open(inner, "rb")
    if not isinstance(fs, LocalFileSystem):
        return opened
    opened.close()  # it can be opened; what cannot is said as everywhere
    return pa.OSFile(os.fsencode(inner), "rb")


def column_tables(unit: Unit, columns: list[str] | None, batch_rows: int) -> Iterator[tuple[int, pa.Table | Record]]:
    """Yield (position of the first row, rows) of a unit batch by batch; a bad record in place of what is damaged.

    A batch has at most `batch_rows` rows, and fewer where they are so large that it would exceed BATCH_BYTES.
    """
    if container_of(unit.path) == "arrow":
        return _arrow_tables(unit, columns, batch_rows)
    return _parquet_tables(unit, columns, batch_rows)


def _arrow_tables(unit: Unit, columns: list[str] | None, batch_rows: int) -> Iterator[tuple[int, pa.Table | Record]]:
    row = unit.first_row
    with arrow_reader(unit.path) as reader:
        try:
            for batch in in_bounds(_batches(reader)):
                _check(batch)
                table = pa.Table.from_batches([batch if columns is None else batch.select(columns)])
                size = max(1, min(batch_rows, BATCH_BYTES * len(table) // max(1, table.nbytes)))
                for start in range(0, len(table), size):
                    yield from ((at, _record(at, piece)) for at, piece in cut(row + start, table.slice(start, size)))
                row += len(table)
        except ARROW_ERRORS as error:
            yield row, rest(row, error)


def _record(row: int, table: pa.Table | None) -> pa.Table | Record:
    return Record(row, None, "", BadRecordError("bad_record", LIMIT)) if table is None else table


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.RecordBatchFileReader):
        return (reader.get_batch(i) for i in range(reader.num_record_batches))
    return iter(reader)


def _check(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid where buffers do not fit together: Arrow trusts them, and would read beyond their ends."""
    for column in batch.columns:
        column.validate()
        # whether texts are UTF-8 is looked at row by row
        plain = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(column.type)
        (column if plain is None else column.cast(plain)).validate(full=True)


def parquet_file(path: str) -> pq.ParquetFile:
    """Open a Parquet file by path or URL; a table's file as its table has it. Raises InputError when it is not one."""
    try:
        # pre-buffering would hold all row groups that are asked for in memory at once
        file = pq.ParquetFile(_opened(path), pre_buffer=False)
    # ValueError: a column's name that is not UTF-8.
    except (*READ_ERRORS, ValueError) as error:
        gone = f"; {GONE}" if named(path) and isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: cannot be opened as Parquet: {reason_of(error)}{gone}") from error
    return as_its_table_has_it(path, file)


def left_out(unit: Unit) -> int:
    """Return how many rows of a unit --where does not take; 0 where it is no table's."""
    given = named(unit.path)
    if given is None or not given.where:
        return 0
    with parquet_file(unit.path) as file:
        return int(file.left_out(range(unit.start, file.num_row_groups if unit.stop is None else unit.stop)))


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


def _parquet_tables(unit: Unit, columns: list[str] | None, batch_rows: int) -> Iterator[tuple[int, pa.Table | Record]]:
    row = unit.first_row
    with parquet_file(unit.path) as file:
        stop = file.num_row_groups if unit.stop is None else unit.stop
        groups = list(range(unit.start, stop))
        size = max((_row_bytes(file.metadata.row_group(i)) for i in groups), default=1)
        batch_rows = min(batch_rows, max(1, BATCH_BYTES // size))
        try:
            for batch in in_bounds(file.iter_batches(batch_rows, row_groups=groups, columns=columns)):
                yield from ((at, _record(at, piece)) for at, piece in cut(row, pa.table(batch)))
                row += batch.num_rows
        except ARROW_ERRORS as error:
            yield row, rest(row, error)


def _row_bytes(group: Any) -> int:
    return max(1, int(group.total_byte_size) // max(1, int(group.num_rows)))


def column_records(unit: Unit) -> Iterator[Record]:
    """Yield the rows of a unit as dicts."""
    for first, table in column_tables(unit, None, RECORD_ROWS):
        if isinstance(table, Record):
            yield table
            continue
        try:
            for row, value in enumerate(table.to_pylist(), start=first):
                yield Record(row, value, value)
        except UnicodeDecodeError:
            for i in range(len(table)):
                yield _column_record(first + i, table.slice(i, 1))


def _column_record(row: int, table: pa.Table) -> Record:
    try:
        value = cast("dict[str, Any]", table.to_pylist()[0])
        return Record(row, value, value)
    except UnicodeDecodeError:
        return Record(row, None, "", BadRecordError("invalid_utf8", "a text is not valid UTF-8"))
