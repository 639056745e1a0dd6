"""`msmarco-tsv`: query, positive, negative by tabs and without a header: all ids or all texts; GPL adds a margin.

ANCE names several negatives in the third field, whole numbers with commas between them.

They are ids when no field of the file's first lines holds a blank or a letter beyond ASCII, or when there is a fourth
field (a margin). Source: --source, else the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobs.formats.base import DEFAULT, BadRecordError, Batch, BatchBuilder, Options, Record, Unit
from jobs.formats.columnar import rest
from jobs.formats.delimited import READ_FAILURES, delimited_rows, quotes_fields
from jobs.formats.opening import head, line_units
from jobs.formats.record_format import after_file

HEAD_LINES = 100
_ID = re.compile(rb"[!-~]{1,128}")
_SEVERAL = re.compile(r"\d+(?:,\d+)+")


class MsmarcoTsv:
    """The `msmarco-tsv` format."""

    name = "msmarco-tsv"
    records = "3 columns of ids or texts, optional margin; no header; ANCE's negatives with commas between them"
    sources = "the file's name"

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file by lines; see `Format.units`."""
        return [Unit(path)] if quotes_fields(path, "\t") else line_units(path)

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        source = options.source if options.source is not None else after_file(options, unit.path)
        as_ids = holds_ids(unit.path)
        builder, row = BatchBuilder(), unit.first_row - 1
        try:
            for row, values in delimited_rows(unit, "\t"):
                if isinstance(values, Record):
                    builder.reject_bad(values)
                    continue
                try:
                    fields = _fields(values)
                    if not as_ids:
                        builder.row(row, fields, (None, None, None), source)
                    for negative in _negatives(fields[2]) if as_ids else ():
                        ids = [key or None for key in (*fields[:2], negative)]
                        builder.row(row, (None, None, None), ids, source)
                except BadRecordError as error:
                    builder.reject(row, error.reason, str(error), "\t".join(values))
                if builder.full:
                    yield builder.take()
        except READ_FAILURES as error:
            builder.reject_bad(rest(row + 1, error))
        yield builder.take()


def holds_ids(path: str) -> bool:
    """Whether a file's fields are ids, by its first lines."""
    first = [line.split(b"\t") for line in head(path).split(b"\n")[:HEAD_LINES] if line.strip()]
    whole = [fields for fields in first if len(fields) in (3, 4)]
    return bool(whole) and all(_ID.fullmatch(field.rstrip(b"\r")) for fields in whole for field in fields[:3])


def _negatives(field: str) -> list[str]:
    return field.split(",") if _SEVERAL.fullmatch(field) else [field]


def _fields(fields: list[str]) -> list[str]:
    if len(fields) == 4 and _number(fields[3]):
        return fields[:3]
    if len(fields) != 3:
        raise BadRecordError(
            "bad_record", f"{len(fields)} tab-separated fields; query, positive, negative (and a margin) are allowed"
        )
    return fields


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
