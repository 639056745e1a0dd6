"""Records one by one, whatever holds them: JSONL, a JSON array, Parquet, Arrow or CSV.

Positions: lines and elements count from 1, rows of Parquet and Arrow from 0. A damaged file gives every record before the damage
and one bad record for the rest.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from jobs.formats.base import BadRecordError, Record, Unit
from jobs.formats.columnar import COLUMNAR, column_names, column_records, column_units, container_of, rest
from jobs.formats.columnar import parquet_file as parquet_file
from jobs.formats.columnar import parquet_units as parquet_units
from jobs.formats.compression import READ_ERRORS
from jobs.formats.delimited import READ_FAILURES, delimited_rows
from jobs.formats.json_elements import elements
from jobs.formats.opening import head, line_units, lines, open_input, parse_json, refuse_pointer

# A list of objects or of lists; a line that is itself a list (["query", "positive", "negative"]) is not one.
_ARRAY = re.compile(rb"\s*\[\s*[\[{\]]")


def record_units(path: str) -> list[Unit]:
    """Cut a file into units: Parquet by row groups, JSONL by lines; an Arrow or CSV file or a JSON array is read whole."""
    refuse_pointer(path)
    kind = container_of(path)
    if kind in COLUMNAR:
        return column_units(path)
    return [Unit(path)] if kind in ("csv", "tsv") or holds_array(path) else line_units(path)


def records(unit: Unit) -> Iterator[Record]:
    """Yield the records of a unit: objects as dicts, or any other JSON value."""
    kind = container_of(unit.path)
    if kind in COLUMNAR:
        return column_records(unit)
    if kind in ("csv", "tsv"):
        return csv_records(unit, "," if kind == "csv" else "\t")
    return json_records(unit)


def holds_array(path: str) -> bool:
    """Whether a file is one JSON array (and not lines of JSON), by its first characters."""
    return _ARRAY.match(head(path)) is not None


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
    """Return the column names of a Parquet, Arrow or CSV file, None for files of JSON."""
    kind = container_of(path)
    if kind in COLUMNAR:
        return column_names(path)
    if kind == "json":
        return None
    first = head(path).decode("utf-8", "replace")
    return next(csv.reader(io.StringIO(first), delimiter="," if kind == "csv" else "\t"), [])
