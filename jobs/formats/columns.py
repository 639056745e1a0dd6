"""Values and columns as texts and ids: what counts as a string, and what is refused."""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from jobs.errors import InputError
from jobs.formats.base import BadRecordError
from jobs.formats.header import Digits


def as_text(value: Any, name: str) -> str | None:
    """Return a JSON value as a string: strings as they are, whole numbers as digits, null as None.

    Raises:
        BadRecordError: for anything else.
    """
    if isinstance(value, Digits):
        return str(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRecordError("bad_record", f"{name} is a {type(value).__name__}, not a string")


def text_and_id(text: Any, identifier: Any, name: str) -> tuple[str | None, str | None]:
    """Return a field's text and id. A whole number where a text is looked for is an id: nobody's text is a bare number.

    Raises:
        BadRecordError: either is of another type, or both are ids and differ.
    """
    key = as_id(identifier, f"{name}_id")
    if is_id(text):
        if key is not None and key != str(text):
            raise BadRecordError("bad_record", f"{name} is the number {text}, an id, and {name}_id is {key[:100]!r}")
        return None, str(text)
    return as_text(text, name), key


def is_id(value: Any) -> bool:
    """Whether a value is an id where a text is looked for: a whole number, or a field of a column of bare digits."""
    return isinstance(value, Digits) or (isinstance(value, int) and not isinstance(value, bool))


def as_id(value: Any, name: str) -> str | None:
    """Return a JSON value as an id; like `as_text`, but an empty string is no id."""
    return as_text(value, name) or None


def string_column(column: pa.ChunkedArray, path: str, name: str) -> tuple[pl.Series, pl.Series]:
    """Return a column as strings, and a mask of the values that are not valid UTF-8 (given with marks in their place).

    Whole numbers become their decimal digits (ids). Raises InputError for any other type.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    whole = pa.types.is_integer(kind) or pa.types.is_null(kind)
    if not whole and not any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    ):
        raise InputError(f"{path}: column {name!r} is of type {kind}; texts and ids are strings (or whole-number ids)")
    column = column.cast(pa.string()) if whole else column
    column = column.cast(pa.large_binary())
    try:
        strings = column.cast(pa.large_string())
        strings.validate(full=True)
    except pa.ArrowInvalid:
        values = [_decode(value) for value in column.to_pylist()]
        broken = pl.Series([bad for _, bad in values], dtype=pl.Boolean)
        return pl.Series(name, [value for value, _ in values], dtype=pl.String), broken
    good = pl.repeat(False, len(column), eager=True)
    return pl.Series(name, pl.from_arrow(strings), dtype=pl.String), good


def _decode(value: bytes | None) -> tuple[str | None, bool]:
    if value is None:
        return None, False
    try:
        return value.decode("utf-8"), False
    except UnicodeDecodeError:
        return value.decode("utf-8", "replace"), True
