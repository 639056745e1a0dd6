"""What the first line of a delimited file and its columns say: the delimiter, and which columns hold ids.

CSV is what people have: separated by semicolons or tabs as well. A column whose every value is bare digits holds ids, as
whole numbers do in JSON and Parquet, where types say so.
"""

from __future__ import annotations

import csv
import io

from jobs.formats.columnar import container_of
from jobs.formats.opening import head

LOOKED_AT = 1 << 20
"""Bytes of a file that decide whether a column holds ids."""
_DELIMITERS = ",;\t|"


class Digits(str):
    """A value of a column whose every value is bare digits: an id."""

    __slots__ = ()


def delimiter_of(path: str) -> str:
    """Return what separates the fields of a CSV or TSV file: for CSV, what cuts its first line into the most."""
    if container_of(path) == "tsv":
        return "\t"
    first = _first_line(path)
    return max(_DELIMITERS, key=lambda delimiter: len(fields_of(first, delimiter)))


def header_of(path: str) -> list[str]:
    """Return the names in the first line of a CSV or TSV file."""
    return fields_of(_first_line(path), delimiter_of(path))


def fields_of(line: str, delimiter: str) -> list[str]:
    """Return the fields of one line."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def id_columns(path: str, delimiter: str, width: int, quoted: bool) -> frozenset[int]:
    """Return the numbers of the columns that hold bare digits in every row of the file's beginning.

    Args:
        path: the file.
        delimiter: what separates its fields.
        width: how many columns its header has.
        quoted: whether quotation marks are CSV's.
    """
    data = head(path, LOOKED_AT)
    whole = data if len(data) < LOOKED_AT else data[: data.rfind(b"\n") + 1]
    text = io.StringIO(whole.decode("utf-8", "replace"), newline="")
    left, seen = set(range(width)), set[int]()
    try:
        rows = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        for number, values in enumerate(rows):
            if not number or len(values) != width:
                continue
            left -= {i for i in left if values[i] and not (values[i].isascii() and values[i].isdigit())}
            seen |= {i for i in left if values[i]}
            if not left:
                break
    except csv.Error:
        pass
    return frozenset(left & seen)


def _first_line(path: str) -> str:
    return head(path).split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
