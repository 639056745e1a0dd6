"""Conditions on the rows of a table, with null as in SQL: neither in nor out.

Covers: checking against a table's columns, whether a file can hold such a row by what its table says of it, and the condition as
Arrow has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import InputError, nearest

NARROW = timedelta(milliseconds=1)
"""Logs cut the largest time of a file to milliseconds."""


@dataclass(frozen=True)
class Is:
    """A comparison of a column with a value: `=`, `!=`, `<`, `<=`, `>`, `>=`, or `null`, `value` (is not null)."""

    column: str
    sign: str
    value: Any = None


@dataclass(frozen=True)
class All:
    """Conditions that all hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """Conditions of which one holds at least."""

    parts: tuple[Condition, ...]


Condition = Is | All | Some


@dataclass(frozen=True)
class Known:
    """What a table's log says of a column of a file: the smallest and the largest value, nulls, rows; None where it does not."""

    low: Any = None
    high: Any = None
    nulls: int | None = None
    rows: int | None = None


def columns_of(condition: Condition) -> list[str]:
    """Return the columns that a condition looks at, each once."""
    return list(dict.fromkeys(leaf.column for leaf in _leaves(condition)))


def _leaves(condition: Condition) -> Iterator[Is]:
    if isinstance(condition, Is):
        yield condition
    else:
        for part in condition.parts:
            yield from _leaves(part)


def bound(condition: Condition, schema: pa.Schema) -> Condition:
    """Return the condition with values of the columns' types (Arrow scalars). Raises InputError where one cannot be."""
    if isinstance(condition, Is):
        return _bound(condition, schema)
    return replace(condition, parts=tuple(bound(part, schema) for part in condition.parts))


def _bound(leaf: Is, schema: pa.Schema) -> Is:
    names = list(schema.names)
    if leaf.column not in names:
        raise InputError(
            f"--where: no column {leaf.column!r}{nearest(leaf.column, names)} (the table's columns: {', '.join(names)})"
        )
    if leaf.sign in ("null", "value"):
        return leaf
    kind = schema.field(leaf.column).type
    wrong = InputError(f"--where: column {leaf.column!r} is of type {kind}; {leaf.value!r} is no value of it")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        right = isinstance(leaf.value, str)
    else:
        right = pa.types.is_boolean(kind) == isinstance(leaf.value, bool)
    if not right:
        raise wrong
    try:
        value = pa.scalar(leaf.value)
        if isinstance(leaf.value, str) and pa.types.is_timestamp(kind) and kind.tz is not None:
            value = value.cast(pa.timestamp(kind.unit))  # without a zone: UTC
        return replace(leaf, value=value.cast(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise wrong from error


def as_arrow(condition: Condition) -> Any:
    """Return a bound condition as Arrow's expression; null where a row is neither in nor out."""
    if isinstance(condition, All | Some):
        found = as_arrow(condition.parts[0])
        for part in condition.parts[1:]:
            found = found & as_arrow(part) if isinstance(condition, All) else found | as_arrow(part)
        return found
    field = pc.field(condition.column)
    compare = {
        "=": lambda: field == condition.value,
        "!=": lambda: field != condition.value,
        "<": lambda: field < condition.value,
        "<=": lambda: field <= condition.value,
        ">": lambda: field > condition.value,
        ">=": lambda: field >= condition.value,
        "null": lambda: field.is_null(),
        "value": lambda: field.is_valid(),
    }
    return compare[condition.sign]()


def may_hold(condition: Condition, known: Mapping[str, Known]) -> bool:
    """Return whether a file can hold a row that a bound condition takes; False only where its table's log excludes it."""
    if isinstance(condition, All):
        return all(may_hold(part, known) for part in condition.parts)
    if isinstance(condition, Some):
        return any(may_hold(part, known) for part in condition.parts)
    said = known.get(condition.column, Known())
    if condition.sign == "null":
        return said.nulls is None or said.nulls > 0
    if said.nulls is not None and said.nulls == said.rows:
        return False
    try:
        return condition.sign == "value" or _within(condition, said)
    except TypeError:  # a log that has another type than the table
        return True


def _within(leaf: Is, said: Known) -> bool:
    low, high, value = said.low, said.high, leaf.value.as_py()
    if isinstance(high, datetime):
        high += NARROW
    if leaf.sign == "!=":
        # what is no number is not in the limits, and is unequal to all
        return isinstance(value, float) or low is None or not low == high == value
    above = low is None or (low <= value if leaf.sign in ("=", "<=") else low < value)
    below = high is None or (high >= value if leaf.sign in ("=", ">=") else high > value)
    return {"=": above and below, "<": above, "<=": above, ">": below, ">=": below}[leaf.sign]
