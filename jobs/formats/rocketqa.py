"""`rocketqa`: RocketQA's TSV without a header: query, title, para, label; or query, two titles and paras, label.

Of four columns a query's lines may stand anywhere in the file, and a label above 0 makes a positive. Of six, the first title and
para are the positive's. A title `-` is none. Source: --source, else the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.formats.base import DEFAULT, BadRecordError, Batch, BatchBuilder, Options, Record, Unit
from jobs.formats.columnar import rest
from jobs.formats.delimited import READ_FAILURES, delimited_rows, quotes_fields
from jobs.formats.opening import head, line_units, refuse_pointer
from jobs.formats.pairs import Pair, read_pairs
from jobs.formats.record_format import Entry, source_of
from jobs.formats.texts_by_id import join_title

HEAD_LINES = 20
PAIR, TRIPLE = 4, 6
LEAST_WHOLE = 0.8


class Rocketqa:
    """The `rocketqa` format."""

    name = "rocketqa"
    records = "RocketQA's TSV: query, title, para, label, in any order; or query, title and para twice, label"
    sources = "the file's name"

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file of triples by lines; one of pairs stays whole. See `Format.units`."""
        refuse_pointer(path)
        whole = quotes_fields(path, "\t") or width_of(path) != TRIPLE
        return [Unit(path)] if whole else line_units(path)

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        source = source_of({}, options, unit.path)
        if width_of(unit.path) != TRIPLE:
            yield from read_pairs((_pair(row, fields, source, options) for row, fields in _rows(unit)), options)
            return
        builder = BatchBuilder()
        for row, fields in _rows(unit):
            if isinstance(fields, Record):
                builder.reject_bad(fields)
                continue
            try:
                query, positive_title, positive, negative_title, negative, _ = _cut(fields, TRIPLE)
                texts = query, _joined(positive_title, positive, options), _joined(negative_title, negative, options)
                builder.row(row, texts, (None, None, None), source)
            except BadRecordError as error:
                builder.reject(row, error.reason, str(error), "\t".join(fields))
            if builder.full:
                yield builder.take()
        yield builder.take()


def width_of(path: str) -> int | None:
    """Return 4 or 6, as a file's first lines have so many columns with a label last; None for anything else."""
    first = head(path)
    lines = [line for line in first.split(b"\n")[:HEAD_LINES] if line.strip()]
    if len(first.split(b"\n")) <= HEAD_LINES and not first.endswith(b"\n") and len(lines) > 1:
        lines.pop()  # it may be cut
    rows = [line.rstrip(b"\r").split(b"\t") for line in lines]
    width = len(rows[0]) if rows else 0
    whole = [fields for fields in rows if len(fields) == width and fields[-1] in (b"0", b"1")]
    if width not in (PAIR, TRIPLE) or len(whole) < LEAST_WHOLE * len(rows):
        return None
    # ids have no blanks: with a 0 or 1 behind them they are judgements or triples with a margin
    return width if any(b" " in field for fields in whole for field in fields[:3]) else None


def _rows(unit: Unit) -> Iterator[tuple[int, list[str] | Record]]:
    row = unit.first_row - 1
    try:
        for row, fields in delimited_rows(unit, "\t"):
            yield row, fields
    except READ_FAILURES as error:
        yield row + 1, rest(row + 1, error)


def _pair(row: int, fields: list[str] | Record, source: str, options: Options) -> Pair | Record:
    if isinstance(fields, Record):
        return fields
    try:
        query, title, para, label = _cut(fields, PAIR)
        return Pair(row, Entry(query, None), Entry(_joined(title, para, options), None), label == "1", source)
    except BadRecordError as error:
        return Record(row, None, "\t".join(fields), error)


def _cut(fields: list[str], width: int) -> list[str]:
    if len(fields) != width or fields[-1] not in ("0", "1"):
        raise BadRecordError(
            "bad_record", f"{len(fields)} tab-separated fields; {width} with a label 0 or 1 are allowed"
        )
    return fields


def _joined(title: str, text: str, options: Options) -> str | None:
    return join_title("" if title == "-" else title, text, options.title_separator)
