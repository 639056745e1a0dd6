"""`eci ingest` turns any format into triples that a run reads the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
