"""Rows in = scored + rejected + duplicates: every bad row is kept in rejects with its reason, and stops nothing."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.output.query import query
from jobs.output.store import Store
from tests.conftest import run_lake

HOSTILE = ["x'); DROP TABLE source_eci; --", "../../x", "<script>alert(1)</script>", 'q"uote', "ünïcode 源"]


def good_rows() -> list[dict[str, Any]]:
    return [
        {"query": f"what is item {i}?", "positive": f"item {i} is of kind {i % 7}", "negative": f"thing {(i * 7 + k) % 97}", "source": s}
        for i in range(40)
        for k, s in enumerate(HOSTILE)
    ]  # fmt: skip


BAD: list[tuple[Any, str]] = [
    ({"query": "q", "positive": "p", "negative": "n", "source": None}, "null_field"),
    ({"query": None, "positive": "p", "negative": "n", "source": "a"}, "null_field"),
    ({"query": "q", "positive": "p", "source": "a"}, "null_field"),
    ({"query": "q", "positive": " \t\n", "negative": "n", "source": "a"}, "empty_text"),
    ({"query": "q", "positive": "p", "negative": "p", "source": "a"}, "negative_is_positive"),
    ({"query": "what is item 1?", "positive": "another", "negative": "item 1 is of kind 1", "source": "a"}, "negative_is_labelled_positive"),
    ({"query": "q", "positive": "p", "negative": "n", "source": "a\u0007b"}, "bad_record"),
    ({"query": ["q"], "positive": "p", "negative": "n", "source": "a"}, "bad_record"),
    ("{broken", "bad_record"),
    ("[1, 2]", "bad_record"),
    ("[" * 5000, "bad_record"),
    (b'{"query": "\xff", "positive": "p", "negative": "n", "source": "a"}', "invalid_utf8"),
    ('{"query": "\\ud800", "positive": "p", "negative": "n", "source": "a"}', "invalid_utf8"),
]  # fmt: skip


@pytest.fixture(scope="module")
def run_over_bad_rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("bad")
    lines = [json.dumps(row).encode() for row in good_rows()]
    for record, _ in BAD:
        lines.append(
            record
            if isinstance(record, bytes)
            else record.encode()
            if isinstance(record, str)
            else json.dumps(record).encode()
        )
    lines += lines[:3]
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + b"\r\n".join(lines)))
    return folder / "out", run_lake(
        folder / "out",
        folder / "rows.jsonl.gz",
        inputs=[{"triples": str(folder / "rows.jsonl.gz"), "format": "triples"}],
        allow_rejects=True,
    )


def test_every_row_is_scored_rejected_or_a_duplicate(run_over_bad_rows: tuple[Path, Any]) -> None:
    totals = run_over_bad_rows[1].totals
    assert totals["rows_in"] == 40 * len(HOSTILE) + len(BAD) + 3
    assert (totals["scored"], totals["rejected"], totals["duplicates"]) == (40 * len(HOSTILE), len(BAD), 3)


def test_rejects_keep_reason_row_and_record(run_over_bad_rows: tuple[Path, Any]) -> None:
    out, result = run_over_bad_rows
    rejects = pq.read_table(out / "runs" / result.run_id / "rejects" / "part-000.parquet").to_pylist()
    assert Counter(row["reason"] for row in rejects) == Counter(reason for _, reason in BAD)
    by_row = {row["row"]: row for row in rejects}
    first = 40 * len(HOSTILE) + 1
    assert [by_row[first + i]["reason"] for i in range(len(BAD))] == [reason for _, reason in BAD]
    assert all(len(row["record"].encode()) <= 4096 and row["file"].endswith("rows.jsonl.gz") for row in rejects)
    assert all(json.loads(row["record"]) is not None and row["detail"] for row in rejects)


def test_hostile_source_names_are_only_names(run_over_bad_rows: tuple[Path, Any]) -> None:
    out, result = run_over_bad_rows
    assert sorted(row["source"] for row in result.ranking.to_pylist() if row["kind"] == "source") == sorted(HOSTILE)
    rows = query(Store(str(out)), "SELECT DISTINCT source FROM scores ORDER BY source").read_all()["source"].to_pylist()
    assert rows == sorted(HOSTILE)
    assert {p.name for p in out.parent.iterdir()} == {"out", "rows.jsonl.gz"}


def test_n_rejected_is_by_source(run_over_bad_rows: tuple[Path, Any]) -> None:
    out, _ = run_over_bad_rows
    reader = query(Store(str(out)), "SELECT count(*) AS n FROM rejects WHERE source = 'a'")
    # the sixth row of source "a" holds a list as its query: its source is not looked for
    assert reader.read_all()["n"].to_pylist() == [5]
