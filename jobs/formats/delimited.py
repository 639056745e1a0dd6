"""Rows of delimited files, and which of two dialects a file is in: quotation marks as CSV has them, or as any character.

A mark at the beginning of a field means nothing by itself: in CSV it quotes the field, in a TSV that nobody quoted it is
the text's own. Read in the wrong dialect a stray pair of marks swallows every line between them, without an error. So the
file's beginning (all of a small file) is read in both, and what each makes of its lines decides; a file that fits neither
is refused with the two readings. A quoted field that swallows lines with as many fields as the header is refused, too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from jobs.errors import InputError
from jobs.formats.base import BadRecordError, Record, Unit
from jobs.formats.compression import READ_ERRORS
from jobs.formats.opening import MAX_LINE_BYTES, decoded, head, lines, open_input, too_long

LOOKED_AT = 8 << 20
"""Bytes of a file that decide on its dialect."""
LEAST_SWALLOWED = 10
MOST_BAD = 0.1
"""Share of lines that may be of another width than the header where marks are any character."""


@dataclass
class _Reading:
    """What a dialect makes of some lines: rows as wide as the header, others, and where it fails."""

    good: int = 0
    bad: int = 0
    longest: int = 0
    error: str | None = None

    def __str__(self) -> str:
        failed = f", then {self.error}" if self.error else ""
        return (
            f"{self.good:,} rows of the header's width and {self.bad:,} others{failed}; longest text {self.longest:,}"
        )


def quotes_fields(path: str, delimiter: str) -> bool:
    """Return whether quotation marks around fields are CSV's.

    Raises:
        InputError: the file fits neither dialect.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    data = head(path, LOOKED_AT)
    whole = len(data) < LOOKED_AT
    first = data if whole else data[: data.rfind(b"\n") + 1]
    mark, cut = b'"', delimiter.encode()
    if not (first.startswith(mark) or any(start + mark in first for start in (cut, b"\n", b"\r"))):
        return delimiter != "\t"
    rows = [line.rstrip(b"\r").split(cut) for line in first.split(b"\n") if line.strip()]
    width = len(rows[0])
    plain = _Reading(longest=max(len(field) for fields in rows for field in fields))
    plain.good = sum(len(fields) == width for fields in rows[1:])
    plain.bad = len(rows) - 1 - plain.good
    marked = [field for fields in rows for field in fields if field.startswith(mark)]
    closed = [field for field in marked if _closed(field)]
    if rows[0] and all(field.startswith(mark) and _closed(field) for field in rows[0]):
        return True  # nobody's header is marked but CSV's
    if not plain.bad:
        if len(closed) < len(marked):
            return False  # lines are whole as they are, and a mark does not close within its own
        every = len(marked) == sum(map(len, rows))
        # a writer of TSV that quotes where it must leaves these within marks, and no text that nobody quoted has them so
        return delimiter != "\t" or every or any(b'""' in field[1:-1] or b"\r" in field for field in closed)
    quoted = _quoted(first, delimiter, width)
    # marks that all close where CSV lets them and rows that are all whole; else what loses the least
    if (_strict(first, delimiter, whole) and not quoted.bad) or (quoted.good >= plain.good and quoted.bad <= plain.bad):
        return True
    # a line of a TSV that is not quoted stands for itself, and is rejected for itself
    if delimiter == "\t" or plain.bad <= MOST_BAD * len(rows):
        return False
    raise InputError(
        f"{path}: its quotation marks fit no dialect. With marks around fields as in CSV: {quoted}. With marks as any other "
        f"character: {plain}. Write it anew with a CSV library, or as Parquet or JSONL"
    )


def _closed(field: bytes) -> bool:
    """Return whether a field that begins with a mark is one that CSV would write: marks at both ends, doubled within."""
    return len(field) > 1 and field.endswith(b'"') and b'"' not in field[1:-1].replace(b'""', b"")


def _quoted(data: bytes, delimiter: str, width: int) -> _Reading:
    """Read lines as CSV, as leniently as `_quoted_rows` does."""
    found = _Reading()
    text = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")
    try:
        for number, values in enumerate(csv.reader(text, delimiter=delimiter)):
            if values and number:
                found.good += len(values) == width
                found.bad += len(values) != width
                found.longest = max(found.longest, *map(len, values))
    except csv.Error as error:
        found.error = str(error)
    return found


def _strict(data: bytes, delimiter: str, whole: bool) -> bool:
    """Return whether every mark stands where CSV has one; where the file goes on, a field may be open at the end."""
    text = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")
    try:
        for _ in csv.reader(text, delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        return not whole and "unexpected end" in str(error)
    return True


def delimited_rows(unit: Unit, delimiter: str) -> Iterator[tuple[int, list[str] | Record]]:
    """Yield (position, fields) of a file's rows, the header's too, or a bad record. Positions count rows, from 1.

    Raises:
        InputError: the file fits no dialect, or a quoted field swallows rows.
    """
    if quotes_fields(unit.path, delimiter):
        yield from _quoted_rows(unit.path, delimiter)
        return
    for row, line in lines(unit):
        try:
            yield row, decoded(line).split(delimiter)
        except BadRecordError as error:
            yield row, Record(row, None, line, error)


def _quoted_rows(path: str, delimiter: str) -> Iterator[tuple[int, list[str] | Record]]:
    with open_input(path) as raw:
        # Undecodable bytes come through as surrogates, so that one of them costs one row and not the file.
        text = _Kept(io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline=""), delimiter)
        width = 0
        for row, values in enumerate(csv.reader(text, delimiter=delimiter), start=1):
            width = width or len(values)
            # beyond what was looked at; a text of so many lines has others than just such lines
            if text.within >= LEAST_SWALLOWED and text.cuts == {width - 1}:
                raise InputError(
                    f"{path}: row {row} holds {text.within + 2:,} lines in one quoted field, and all {text.within:,} within "
                    f"look like rows of their own: a quotation mark opens it that is not CSV's. Its first line: "
                    f"{text.first[:120]!r}"
                )
            text.begin()
            if values:
                yield row, _decoded(row, values)


class _Kept:
    """Lines, and what is known of those of the record that is being read, which has at most MAX_LINE_BYTES characters.

    Attributes:
        first: its first line.
        within: how many lines it has beside the first and the last.
        cuts: how many delimiters these have: each number once.
    """

    def __init__(self, text: TextIO, delimiter: str) -> None:
        self._text, self._delimiter = text, delimiter
        self.begin()

    def begin(self) -> None:
        """Begin the next record."""
        self._length, self._last, self.first = 0, "", ""
        self.within, self.cuts = 0, set[int]()

    def __iter__(self) -> _Kept:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self._length += len(line)
        if self._length >= MAX_LINE_BYTES:
            raise csv.Error(too_long())
        if self._last:
            self.within += 1
            self.cuts.add(self._last.count(self._delimiter))
        if self.first:
            self._last = line
        else:
            self.first = line
        return line


def _decoded(row: int, values: list[str]) -> list[str] | Record:
    joined = "\x1f".join(values)
    if not joined.isascii() and any("\ud800" <= c <= "\udfff" for c in joined):
        data = joined.encode("utf-8", "surrogateescape")
        return Record(row, None, data, BadRecordError("invalid_utf8", "a field is not valid UTF-8"))
    return values


READ_FAILURES = (*READ_ERRORS, csv.Error)
