"""The checks of a batch, and its distinct texts, against a row-by-row version."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from jobs.formats.base import ROWS
from jobs.ids import NO_ID, as_arrow, id_array, text_id, text_ids, user_key
from jobs.ingest.checks import ROLES, check
from jobs.ingest.distinct_texts import not_blank
from jobs.ingest.index import Index
from jobs.work.layout import TEXTS_SCHEMA

TEXT = ["alpha", "beta", "über", "  ", "", "\x1c\u3000", "a\u2028b", "trailing\x00", None]
USERS = ["u1", "u2", "alpha", " ", "", None, None, None]


def batch(seed: int, rows: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {"row": list(range(rows))}
    for role, _ in ROLES:
        columns[role] = [TEXT[i] for i in rng.integers(0, len(TEXT), rows)]
        columns[f"{role}_id"] = [USERS[i] for i in rng.integers(0, len(USERS), rows)]
    columns["source"] = [["bm25", "dense", "a\x00b", None][i] for i in rng.choice(4, rows, p=[0.45, 0.45, 0.05, 0.05])]
    return pl.DataFrame(columns, schema={name: ROWS[name] for name in columns})


def literal(frame: pl.DataFrame) -> tuple[list[int], list[list[bytes]], dict[tuple[bytes, bool], str | None]]:
    """Return accepted rows, their ids, and (id, whether its text is there) -> the smallest user id in those rows."""
    rows, ids, owners = [], [], {}
    for record in frame.iter_rows(named=True):
        cells = []
        for role, side in ROLES:
            text, user = record[role], record[f"{role}_id"]
            name = text if text is not None else user
            if name is not None and name.strip():
                cells.append((text_id(side, name), text is not None, user))
        if len(cells) == 3 and record["source"] in ("bm25", "dense"):
            rows.append(record["row"])
            ids.append([key for key, _, _ in cells])
    for record in frame.filter(pl.col("row").is_in(rows)).iter_rows(named=True):
        for role, side in ROLES:
            text, user = record[role], record[f"{role}_id"]
            at = (text_id(side, text if text is not None else user), text is not None)
            if at not in owners or (user is not None and (owners[at] is None or user < owners[at])):
                owners[at] = user
    return rows, ids, owners


@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_checked_as_row_by_row(seed: int) -> None:
    frame = batch(seed)
    found = check(frame, {})
    rows, ids, owners = literal(frame)
    assert 0 < len(rows) < len(frame)
    assert found.rows.tolist() == rows
    assert found.ids.tolist() == id_array(key for triple in ids for key in triple).reshape(-1, 3).tolist()
    assert len(found.rejects) == len(frame) - len(rows)
    texts = found.texts.cast(TEXTS_SCHEMA).to_pylist()
    told = {(text["id"], text["text"] is not None): text["user_id"] for text in texts}
    assert len(told) == len(texts)
    assert told == owners
    assert all(text_id(text["side"], text["text"] or text["user_id"]) == text["id"] for text in texts)


def test_ids_are_looked_up_where_there_is_an_index_and_texts_need_none() -> None:
    keys = np.sort(id_array(user_key(name) for name in ("known", "blank")))
    of = {user_key("known"): text_id("query", "the query"), user_key("blank"): NO_ID}
    index = Index(keys, id_array(of[key] for key in map(bytes, keys.view("V16").tolist())))
    frame = pl.DataFrame(
        {
            "row": [0, 1, 2, 3, 4],
            "query": [None, None, None, None, "its own text"],
            "query_id": ["known", "blank", "nobody", None, "nobody"],
            **{name: ["p"] * 5 for name in ("positive", "negative", "source")},
        }
    )
    absent = [name for name in ROWS if name not in frame.columns]
    found = check(
        frame.with_columns(pl.lit(None, pl.String).alias(name) for name in absent).select(list(ROWS)), {"query": index}
    )
    assert found.rows.tolist() == [0, 4]
    assert found.rejects["reason"].to_list() == ["empty_text", "unknown_id", "null_field"]
    assert found.ids[:, 0].tolist() == [text_id("query", "the query"), text_id("query", "its own text")]
    assert sorted(found.texts["text"].to_pylist()) == ["its own text", "p"]


def test_white_space_is_what_python_strips() -> None:
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    assert not_blank(pl.Series(characters)).tolist() == [bool(character.strip()) for character in characters]
    assert not_blank(pl.Series(["", None, " x "])).tolist() == [False, False, True]


def test_ids_of_a_column_are_those_of_its_texts() -> None:
    texts = ["a", "", "ü" * 200, "a\x00"]
    for kind in (pa.string(), pa.large_string()):
        column = pa.array(["before", *texts], kind).slice(1)
        assert as_arrow(text_ids("query", column)).to_pylist() == [text_id("query", text) for text in texts]
    assert len(text_ids("passage", pa.array([], pa.string()))) == 0
