"""A passage's text goes by the same names in a file of passages and within a record."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from jobs.formats.base import Options
from jobs.formats.texts_by_id import PASSAGE_TEXT_NAMES, read_texts, text_units
from tests.formats.reading import read


@pytest.mark.parametrize("name", PASSAGE_TEXT_NAMES)
@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_in_a_file_of_passages(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / f"corpus.{kind}"
    if kind == "jsonl":
        path.write_text(json.dumps({"docid": "d1", "title": "T", name: "words"}))
    elif kind == "parquet":
        pl.DataFrame({"docid": ["d1"], "title": ["T"], name: ["words"]}).write_parquet(path)
    else:
        path.write_text(f"docid\ttitle\t{name}\nd1\tT\twords\n")
    batches = [batch for unit in text_units(str(path)) for batch in read_texts(unit, Options(), "passage")]
    rows = pl.concat([batch.texts for batch in batches]).select("id", "text").rows()
    assert rows == [("d1", "T words")]
    assert sum(len(batch.rejects) for batch in batches) == 0


@pytest.mark.parametrize("name", PASSAGE_TEXT_NAMES)
def test_within_a_record(tmp_path: Path, name: str) -> None:
    path = tmp_path / "train.jsonl"
    positive, negative = ({"docid": key, "title": "T", name: f"words of {key}"} for key in ("d1", "d2"))
    record = {"query": "q", "positive_passages": [positive], "negative_passages": [negative]}
    path.write_text(json.dumps(record))
    reading = read("tevatron", path)
    assert reading.rows.select("positive", "negative").rows() == [("T words of d1", "T words of d2")]
    assert not len(reading.rejects)
