"""`eci ingest` turns any format into triples that a run reads the same way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.formats import Options, Unit, format_named
from jobs.formats.records import parquet_units
from tests.lakes import vector_lake


def test_triples_of_a_trainer_format_come_back_from_the_canonical_files(
    eci: Callable[..., Any], tmp_path: Path
) -> None:
    records = [{"query": f"q{i} \u2028 x", "pos": ["p"], "neg": [f"n{i}", f"m\u0085{i}"]} for i in range(50)]
    (tmp_path / "bge.jsonl").write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in records) + '\n{"query": "q", "pos": ["p"], "neg": []}\n'
    )
    done = eci("ingest", "--triples", "bge.jsonl", "--to", "canonical", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["triples"], said["rejects"], said["files"]) == ({"bge": 100}, {"null_field": 1}, 1)
    file = str(tmp_path / "canonical" / "000000.parquet")
    rows = [
        row
        for unit in parquet_units(file)
        for batch in format_named("triples").read(unit, Options())
        for row in batch.rows.rows()
    ]
    direct = [
        row
        for batch in format_named("bge").read(Unit(str(tmp_path / "bge.jsonl")), Options())
        for row in batch.rows.rows()
    ]
    assert [row[1:] for row in rows] == [row[1:] for row in direct]


def test_a_folder_that_holds_something_is_refused(eci: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.parquet").write_text("x")
    (tmp_path / "a.jsonl").write_text('{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n')
    done = eci("ingest", "--triples", "a.jsonl", "--to", "full")
    assert done.returncode == 2 and "holds something already" in done.stderr


def test_a_run_says_which_format_it_has_recognised(eci: Callable[..., Any], tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 120, sources=2)
    tuples = [{"anchor": q, "positive": p, "negative": n} for q, p, n, _ in lake.rows]
    (tmp_path / "mined.jsonl").write_text("\n".join(map(json.dumps, tuples)))
    done = eci(*lake.command("--triples", "mined.jsonl", "-q"))
    assert done.returncode == 0, done.stderr
    assert "Read as sbert-tuples (1 file), triples (1 file)." in done.stdout


def test_rows_that_a_run_would_reject_are_rejected_with_their_reasons(eci: Callable[..., Any], tmp_path: Path) -> None:
    good = {"query": "q", "positive": "p", "negative": "n", "source": "s"}
    wrong: list[dict[str, Any]] = [
        {"negative": None}, {"query": None}, {"positive": "  "}, {"negative": "\u3000\n"}, {"query": ""}, {"source": None}, {"source": "a\u0000b"},
    ]  # fmt: skip
    lines = [json.dumps(good | change) for change in ({}, *wrong, {"negative": "m"})]
    (tmp_path / "lake.jsonl").write_text("\n".join(lines))
    done = eci("ingest", "--triples", "lake.jsonl", "--to", "canonical", "-q")
    assert done.returncode == 0, done.stderr
    kept = pl.read_parquet(tmp_path / "canonical" / "000000.parquet")
    assert kept.select("query", "positive", "negative", "source").rows() == [("q", "p", "n", "s"), ("q", "p", "m", "s")]
    rejected = pl.read_parquet(tmp_path / "canonical" / "_rejects" / "000000.parquet")
    assert rejected.select("row", "reason").rows() == [
        (2, "null_field"), (3, "null_field"), (4, "empty_text"), (5, "empty_text"), (6, "empty_text"), (7, "null_field"), (8, "bad_record"),
    ]  # fmt: skip
    assert "rejected records are in canonical/_rejects" in done.stdout


def test_ingest_and_run_reject_the_same_rows(eci: Callable[..., Any], tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 60, sources=2)
    rows: list[dict[str, Any]] = [
        dict(zip(("query", "positive", "negative", "source"), r, strict=True)) for r in lake.rows
    ]
    for number, change in enumerate(
        [{"negative": None}, {"query": " "}, {"positive": ""}, {"source": ""}, {"source": None}]
    ):
        rows[7 * number] |= change
    (tmp_path / "lake.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = eci(*lake.command("--triples", "lake.jsonl", "-q", "--no-probe"))
    done = eci("ingest", "--triples", "lake.jsonl", "--to", "canonical", "-q")
    assert (ran.returncode, done.returncode) == (0, 0), ran.stderr + done.stderr
    columns = ["row", "source", "reason", "detail", "record"]
    of_ingest = pl.read_parquet(tmp_path / "canonical" / "_rejects" / "*.parquet").select(columns)
    of_run = next((tmp_path / "out" / "runs").glob("*/rejects/part-000.parquet"))
    assert len(of_ingest) == 5
    assert of_ingest.sort("row").rows() == pl.read_parquet(of_run).select(columns).sort("row").rows()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.jsonl", '{"query": "q", "positive": "p", "negative": "", "source": "s"}\n', "1 x empty_text"),
        ("dpr.json", '[{"question": "q", "answers": [], "positive_ctxs": [{"text": "p"}], "negative_ctxs": [], "hard_negative_ctxs": []}]',
         "1 x null_field"),
    ],
)  # fmt: skip
def test_nothing_usable_is_an_error_and_leaves_nothing(
    eci: Callable[..., Any], tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    there = name == "dpr.json"  # an empty folder that was there before stays
    if there:
        (tmp_path / "to").mkdir()
    done = eci("ingest", "--triples", name, "--to", "to", "-q")
    assert done.returncode == 2 and "no triple is left" in done.stderr and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert [*tmp_path.glob("to/*")] == [] and (tmp_path / "to").exists() == there


def test_no_folder_of_rejects_is_named_where_there_is_none(eci: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n')
    done = eci("ingest", "--triples", "a.jsonl", "--to", "to", "-q")
    assert done.returncode == 0 and "_rejects" not in done.stdout and "1 file in to" in done.stdout
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["000000.parquet"]


def test_ids_become_the_texts_of_the_corpus_and_of_the_queries(eci: Callable[..., Any], tmp_path: Path) -> None:
    """Of an id that stands twice the first text, as in a run; an id that is in no file, or whose text is blank, is rejected."""
    (tmp_path / "ids.jsonl").write_text(
        "\n".join(
            json.dumps({"query_id": q, "positive_id": p, "negative_id": n, "source": "s"})
            for q, p, n in [("1", "p", "n"), ("2", "p", "n"), ("1", "p", "blank"), ("1", "other", "p"), ("1", "n", "p")]
        )
    )
    (tmp_path / "mixed.jsonl").write_text(
        '{"query": "given here", "positive_id": "p", "negative": "and here", "source": "t"}'
    )
    (tmp_path / "corpus.tsv").write_text("p\tthe positive\nn\tthe negative\np\tanother\nblank\t  \n\tno id\n")
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "a query"}\n')
    given = (
        "--triples",
        "ids.jsonl",
        "--triples",
        "mixed.jsonl",
        "--corpus",
        "corpus.tsv",
        "--queries",
        "queries.jsonl",
    )
    done = eci("ingest", *given, "--to", "to", "--json", "-q")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    rejects = pl.read_parquet(tmp_path / "to" / "_rejects" / "*.parquet")
    assert told["triples"] == {"s": 2, "t": 1} and told["ids_alone"] == 0
    assert told["rejects"] == dict(Counter(rejects["reason"].to_list()))
    of_rows = rejects.filter(pl.col("file").str.ends_with("ids.jsonl")).select("row", "reason").rows()
    assert of_rows == [(2, "unknown_id"), (3, "empty_text"), (4, "unknown_id")]
    of_texts = rejects.filter(pl.col("file").str.ends_with("corpus.tsv"))
    assert of_texts["row"].to_list() == [5]
    kept = pl.concat([pl.read_parquet(path) for path in sorted((tmp_path / "to").glob("*.parquet"))])
    assert kept.select("query", "positive", "negative", "query_id", "positive_id").rows() == [
        ("a query", "the positive", "the negative", "1", "p"), ("a query", "the negative", "the positive", "1", "n"),
        ("given here", "the positive", "and here", None, "p"),
    ]  # fmt: skip


def test_ids_without_their_texts_stay_ids_and_are_counted(eci: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "ids.jsonl").write_text('{"query": "q", "positive": "p", "negative_id": "7", "source": "s"}\n')
    done = eci("ingest", "--triples", "ids.jsonl", "--to", "to", "-q")
    assert done.returncode == 0 and "1 of the triples hold an id in place of a text" in done.stdout
    assert pl.read_parquet(tmp_path / "to" / "000000.parquet")["negative_id"].to_list() == ["7"]


def test_a_file_that_cannot_be_opened_is_a_reject_where_that_is_asked_for(
    eci: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "a.jsonl").write_text('{"query": "q", "positive": "p", "negative": "n", "source": "s"}\n')
    (tmp_path / "lake" / "b.parquet").write_bytes(b"PAR1 no more of it")
    refused = eci("ingest", "--triples", "lake", "--to", "to", "-q")
    assert refused.returncode == 2 and "b.parquet" in refused.stderr and not (tmp_path / "to").exists()
    done = eci("ingest", "--triples", "lake", "--to", "to", "--skip-bad-files", "--json", "-q")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["triples"], said["rejects"], said["files"], said["ids_alone"]) == ({"s": 1}, {"bad_record": 1}, 1, 0)
    (row,) = pl.read_parquet(tmp_path / "to" / "_rejects" / "000001.parquet").rows(named=True)
    assert row["file"].endswith("b.parquet") and row["reason"] == "bad_record" and row["detail"]
