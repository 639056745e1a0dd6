"""`--where` means what SQL means by it, and no file that holds a row of it is left out. The oracle is DuckDB."""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InputError
from jobs.lakes.conditions import Known, as_arrow, bound, columns_of, may_hold
from jobs.lakes.where import parse

SCHEMA = pa.schema(
    [("source", pa.string()), ("day", pa.date32()), ("score", pa.float64()), ("n", pa.int32()), ("good", pa.bool_())]
)
SOURCES, DAYS = ["bm25", "llm", "o'neil", ""], [dt.date(2026, 11, day) for day in (1, 2, 3)]
SCORES, NUMBERS = [-1.5, 0.0, 2.5], [-1, 0, 7]


def _text(value: object) -> str:
    return f"'{str(value).replace(chr(39), chr(39) * 2)}'" if isinstance(value, str | dt.date) else str(value)


_LEAVES = st.one_of(
    *[
        st.one_of(
            st.tuples(st.sampled_from(["=", "!=", "<>", "<", "<=", ">", ">="]), st.sampled_from(values)).map(
                lambda given, name=name: f"{name} {given[0]} {_text(given[1])}"
            ),
            st.lists(st.sampled_from(values), min_size=1, max_size=3).map(
                lambda given, name=name: f"{name} in ({', '.join(map(_text, given))})"
            ),
            st.tuples(st.sampled_from(values), st.sampled_from(values)).map(
                lambda given, name=name: f"{name} not between {_text(given[0])} and {_text(given[1])}"
            ),
            st.sampled_from([f"{name} is null", f"{name} IS NOT NULL"]),
        )
        for name, values in (("source", SOURCES), ("day", DAYS), ("score", SCORES), ("n", NUMBERS))
    ],
    st.sampled_from(["good = true", "good != false"]),
)
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) and {two[1]}"),
        st.tuples(inner, inner).map(lambda two: f"{two[0]} OR ({two[1]})"),
    ),
    max_leaves=6,
)
_ROWS = st.lists(
    st.tuples(*(st.one_of(st.none(), st.sampled_from(v)) for v in (SOURCES, DAYS, SCORES, NUMBERS, [True, False]))),
    min_size=1, max_size=6,
)  # fmt: skip


def _known(table: pa.Table) -> dict[str, Known]:
    found = {}
    for name in table.column_names:
        values = [value for value in table[name].to_pylist() if value is not None]
        low, high = (min(values), max(values)) if values else (None, None)
        found[name] = Known(low, high, table[name].null_count, len(table))
    return found


@settings(max_examples=200, deadline=None)
@given(_CONDITIONS, _ROWS)
def test_takes_the_rows_that_sql_takes_and_no_file_with_such_a_row_is_left_out(text: str, rows: Any) -> None:
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)
    condition = bound(parse(text), SCHEMA)
    rows_of = table  # what DuckDB finds by its name
    kept = rows_of.filter(as_arrow(condition))
    wanted = duckdb.sql(f"SELECT * FROM rows_of WHERE {text}").to_arrow_table()
    assert kept.to_pylist() == wanted.to_pylist()
    assert may_hold(condition, _known(table)) or not len(wanted)
    assert may_hold(condition, {})
    assert set(columns_of(condition)) <= set(SCHEMA.names)


def test_limits_of_a_file_exclude_it() -> None:
    known = {"day": Known(dt.date(2026, 11, 1), dt.date(2026, 11, 2), 0, 5), "source": Known("bm25", "bm25", 0, 5)}
    for text in ("day >= '2026-11-03'", "source in ('a', 'llm')", "source is null", "not (day < '2026-11-03')"):
        assert not may_hold(bound(parse(text), SCHEMA), known), text
    assert may_hold(bound(parse("day >= '2026-11-02' and source != 'llm'"), SCHEMA), known)


def test_a_time_within_the_last_millisecond_of_a_file_is_not_lost() -> None:
    """Logs cut times to milliseconds."""
    schema = pa.schema([("at", pa.timestamp("us", tz="UTC"))])
    said = dt.datetime(2026, 11, 1, 12, 0, 0, 1000, tzinfo=dt.UTC)
    condition = bound(parse("at > '2026-11-01 12:00:00.001500'"), schema)
    assert may_hold(condition, {"at": Known(said, said, 0, 1)})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source = ", "a value"),
        ("source bm25", "=, !=, <"),
        ("source = 'a' extra", "and, or, or the end"),
        ("(source = 'a'", "')'"),
        ("source in ()", "a value"),
        ("source = 'a' ; drop", "a column, a value or a comparison"),
        ("= 'a'", "a column"),
        ("souce = 'a'", "did you mean 'source'?"),
        ("day > 'yesterday'", "column 'day' is of type date32"),
        ("n > 1.5", "column 'n' is of type int32"),
        ("source = 5", "column 'source' is of type string"),
        ("good = 1", "column 'good' is of type bool"),
    ],
)
def test_a_condition_that_is_none_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        bound(parse(text), SCHEMA)
    assert said.replace("')'", ")") in str(refused.value) and "\n" not in str(refused.value)
