"""A whole number where a text is looked for is an id, and a source that is named is honoured, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options
from jobs.formats.recognise import recognise

CASES = Path(__file__).parents[3] / "shared" / "cases"
FIELDS = ("query", "positive", "negative", "query_id", "positive_id", "negative_id", "source")


def read(path: Path, **options: Any) -> list[dict[str, Any]]:
    kind = format_named(recognise(str(path)))
    return [row for unit in kind.units(str(path)) for batch in kind.read(unit, Options(**options))
            for row in batch.rows.select(FIELDS).iter_rows(named=True)]  # fmt: skip


NUMBERS = [{"query": 5, "positive": 17, "negative": n, "source": "a"} for n in (18, 19)]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("drop", [(), ("source",)])
def test_whole_numbers_in_text_columns_are_ids(tmp_path, ending, drop):
    """With a source they are `triples`, without one sentence-transformers' columns."""
    path = tmp_path / f"t.{ending}"
    frame = pl.DataFrame(NUMBERS).drop(drop)
    frame.write_parquet(path) if ending == "parquet" else frame.write_ndjson(path)
    found = read(path)
    assert [row["negative_id"] for row in found] == ["18", "19"]
    assert {(row["query_id"], row["positive_id"], row["query"], row["positive"], row["negative"]) for row in found} == {
        ("5", "17", None, None, None)
    }


def test_a_number_beside_another_id_is_refused(tmp_path):
    frame = pl.DataFrame({"query": [5], "query_id": ["q5"], "positive": ["p"], "negative": ["n"], "source": ["a"]})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'query' holds whole numbers, which are ids, beside 'query_id'"):
        read(tmp_path / "t.parquet")


TEXTS = {"docid": "1", "text": "a text"}
RECORDS = {
    "bge": {"query": "q", "pos": ["p"], "neg": ["n", "m"]},
    "tevatron": {"query_id": "1", "query": "q", "positive_passages": [TEXTS], "negative_passages": [TEXTS | {"docid": "2"}]},
    "sbert-hard-negatives": {"query": "q", "pos": ["p"], "neg": ["n"], "qid": "7"},
    "sbert-tuples": {"anchor": "q", "positive": "p", "negative": "n"},
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_source_of_a_record_is_honoured(tmp_path, name):
    path = tmp_path / "file.jsonl"
    path.write_text("\n".join(json.dumps({**RECORDS[name], "source": s}) for s in ("bm25", "dense")) + "\n")
    kind = format_named(name)

    def sources(**options: Any) -> list[str]:
        return [s for unit in kind.units(str(path)) for batch in kind.read(unit, Options(**options))
                for s in batch.rows["source"].unique(maintain_order=True).to_list()]  # fmt: skip

    assert sources() == ["bm25", "dense"]
    assert sources(source="all") == ["all"]
    path.write_text(json.dumps(RECORDS[name]) + "\n")
    assert sources() == ["file"]


def test_a_source_of_a_single_negative_is_honoured(tmp_path):
    record = {"query": "q", "pos": ["p"], "neg": [{"text": "n", "source": "llm"}, {"text": "m"}], "source": "bm25"}
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps(record) + "\n")
    kind = format_named("bge")
    (unit,) = kind.units(str(path))
    (batch,) = kind.read(unit, Options())
    assert dict(batch.rows.select("negative", "source").iter_rows()) == {"n": "llm", "m": "bm25"}


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")
def test_the_handed_cases():
    rows = read(CASES / "st_triplet_ids.parquet")
    assert rows and all(row["query"] is None and row["query_id"].isdigit() for row in rows)
    named = {json.loads(line)["source"] for line in (CASES / "v" / "bge_source.jsonl").read_text().split("\n") if line}
    assert {row["source"] for row in read(CASES / "v" / "bge_source.jsonl")} == named and len(named) > 1
