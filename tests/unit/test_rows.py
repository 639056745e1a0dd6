"""Rows of `eci sql`: lines of tab-separated fields where nobody looks, a table that keeps every word where somebody does."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pytest
from rich.cells import cell_len

from jobs.commands.rows import table_lines, write_rows

TABLE = pa.table(
    {
        "name": ["a\tb", "c\nd\\e", None, "\u2028 \x85"],
        "n": pa.array([1, None, 3, 12345678901], pa.int64()),
        "x": [0.1 + 0.2, 1e-9, float("nan"), 2.0],
        "parts": [["p"], [], None, ["q", "r"]],
    }
)


def written(kind: str | None) -> str:
    stream = io.StringIO()
    write_rows(TABLE.to_reader(), kind, stream)
    return stream.getvalue()


def test_a_pipe_gets_a_line_for_each_row_with_whole_numbers() -> None:
    assert written(None) == written("tsv")
    lines = written(None).split("\n")
    assert lines == [
        "name\tn\tx\tparts", 'a\\tb\t1\t0.30000000000000004\t["p"]', "c\\nd\\\\e\t\t1e-09\t[]", "\t3\tnan\t",
        '\u2028 \x85\t12345678901\t2.0\t["q","r"]', "",
    ]  # fmt: skip


def test_another_format_that_is_asked_for_is_given_through_a_pipe_too() -> None:
    assert len(list(csv.reader(io.StringIO(written("csv"))))) == 5
    assert [row["n"] for row in json.loads(written("json"))] == [1, None, 3, 12345678901]
    assert written("table").splitlines()[0].split() == ["name", "n", "x", "parts"]


TEXTS = [
    ["1", "dense-aware", "a sentence of several words that is long enough to need some lines"],
    ["12,345", "x", ""],
]


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_a_table_keeps_numbers_and_words_whole(width: int) -> None:
    lines = table_lines(["count", "source", "text"], TEXTS, [True, False, False], width)
    assert all(cell_len(line) <= width for line in lines)
    found = " ".join(lines).split()
    assert sorted(found) == sorted(
        ["count", "source", "text", *(word for row in TEXTS for cell in row for word in cell.split())]
    )
    if width == 140:
        assert len(lines) == 3


def test_columns_without_room_make_a_list() -> None:
    names = [f"column_{i}" for i in range(9)]
    lines = table_lines(names, [["1234567"] * 9, ["89"] * 9], [True] * 9, 40)
    assert lines == [*(f"{name}  1234567" for name in names), "", *(f"{name}  89" for name in names)]


def test_a_table_without_rows_shows_its_columns() -> None:
    assert table_lines(["a", "b"], [], [False, True], 40) == ["a  b"]
