"""Records one by one, whatever holds them: JSONL, a JSON array, Parquet, Arrow or CSV.

Positions: lines and elements count from 1, rows of Parquet and Arrow from 0. A damaged file gives every record before the damage
and one bad record for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobs.errors import InputError
from jobs.formats.base import ID_COLUMNS, BadRecordError, Record, Unit
from jobs.formats.columnar import COLUMNAR, column_names, column_records, column_rows, column_units, container_of, rest
from jobs.formats.columnar import parquet_file as parquet_file
from jobs.formats.columnar import parquet_units as parquet_units
from jobs.formats.compression import READ_ERRORS
from jobs.formats.delimited import READ_FAILURES, delimited_rows, quotes_fields
from jobs.formats.header import Digits, delimiter_of, header_of, id_columns
from jobs.formats.json_elements import elements
from jobs.formats.names import Columns, known_names, plain
from jobs.formats.opening import (
    damaged,
    head,
    is_compressed,
    line_units,
    lines,
    open_input,
    parse_json,
    refuse_pointer,
    size_of,
)

# A list of objects or of lists; a line that is itself a list (["query", "positive", "negative"]) is not one.
_ARRAY = re.compile(rb"\s*\[\s*[\[{\]]")
# An object of a description and an array of records, as NeMo has it; one line of JSONL is not over at its first line.
_WRAPPED = re.compile(rb'\s*\{\s*"(?:corpus"\s*:\s*[\[{]|data"\s*:\s*\[)')
_RECORDS = re.compile(rb'"data"\s*:\s*\[\s*[{\]]')
RECORDS_KEY = "data"
HEADERS = {"query", "anchor", "positive", "negative", *ID_COLUMNS}


def record_units(path: str) -> list[Unit]:
    """Cut a file into units: Parquet by row groups, JSONL by lines; an Arrow or CSV file or a JSON array is read whole."""
    refuse_pointer(path)
    kind = container_of(path)
    if kind in COLUMNAR:
        return column_units(path)
    return [Unit(path)] if kind in ("csv", "tsv") or holds_array(path) or wraps_array(path) else line_units(path)


def records(unit: Unit) -> Iterator[Record]:
    """Yield the records of a unit: objects as dicts, or any other JSON value."""
    kind = container_of(unit.path)
    if kind in COLUMNAR:
        return column_records(unit)
    if kind in ("csv", "tsv"):
        return csv_records(unit)
    return json_records(unit)


def holds_array(path: str) -> bool:
    """Whether a file is one JSON array (and not lines of JSON), by its first characters."""
    return _ARRAY.match(head(path)) is not None


def wraps_array(path: str) -> bool:
    """Whether a file is one JSON object whose member `data` holds the records, by its first characters."""
    first = head(path)
    return _WRAPPED.match(first) is not None and _RECORDS.search(first) is not None


def holds_nothing(path: str) -> bool:
    """Whether a file has no record at all: no byte, no row, an empty array, or only the header of a CSV file.

    False where it cannot be opened: whoever reads it says so.
    """
    try:
        kind = container_of(path)
        if kind in COLUMNAR:
            return not column_rows(path)
        first = head(path)
    except InputError:
        return False
    if size_of(path) and not first:
        return not is_compressed(path) or not damaged(path)
    lines = [line for line in first.split(b"\n", 2) if line.strip()]
    if len(lines) > 1:
        return False
    headed = kind == "csv" or (kind == "tsv" and bool({plain(name) for name in header_of(path)} & HEADERS))
    return headed or first.strip() in (b"", b"[]", b"{}")


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
        wrapped = wraps_array(unit.path)
        if unit.start == 0 and (wrapped or holds_array(unit.path)):
            with open_input(unit.path) as file:
                for row, element in enumerate(elements(file, RECORDS_KEY if wrapped else ""), start=1):
                    yield parsed(row, element)
        else:
            for row, line in lines(unit):
                if line.strip():
                    yield parsed(row, line)
    except (*READ_ERRORS, BadRecordError) as error:
        yield rest(row + 1, error)


def csv_records(unit: Unit) -> Iterator[Record]:
    """Yield the rows of a delimited file with a header line as dicts of strings. Positions count rows, the header being 1.

    A column whose every value is bare digits has `Digits`, which are ids.

    Raises:
        InputError: as `delimited_rows`.
    """
    row, header, delimiter = 0, list[str](), delimiter_of(unit.path)
    ids = frozenset[int]()
    try:
        for row, values in delimited_rows(unit, delimiter):
            if isinstance(values, Record):
                yield values
            elif row == 1:
                header = values
                ids = id_columns(unit.path, delimiter, len(header), quotes_fields(unit.path, delimiter))
            elif len(values) != len(header):
                detail = f"{len(values)} fields where the header has {len(header)}"
                yield Record(row, None, values, BadRecordError("bad_record", detail))
            else:
                named = dict(zip(header, values, strict=True))
                named |= {header[i]: Digits(values[i]) for i in ids if values[i]}
                yield Record(row, named, values)
    except READ_FAILURES as error:
        yield rest(row + 1, error)


def columns_of(path: str, columns: Columns = ()) -> list[str] | None:
    """Return the columns of a Parquet, Arrow or CSV file under the names that formats know, None for files of JSON."""
    kind = container_of(path)
    if kind == "json":
        return None
    names = column_names(path) if kind in COLUMNAR else header_of(path)
    known = known_names(names, columns)
    return [known.get(name, name) for name in names if known.get(name, name)]
