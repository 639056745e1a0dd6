"""A folder as it lies about is run night after night: what holds no data is passed over, OUT is no input, columns have other names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lakes import vector_lake

Eci = Callable[..., Any]
SMALL = ("--folds", "4", "--memory", "4GB", "--workers", "1", "--no-probe", "--quiet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 80 triples under other names, a README, a link, and an empty part; its vectors lie elsewhere."""
    (tmp_path / "vectors").mkdir()
    lake = vector_lake(tmp_path / "vectors", dim=8, triples=80, sources=2)
    table = pq.read_table(lake.triples)
    lake.triples.unlink()
    names = {"query": "Claim", "positive": "evidence", "negative": "distractor"}
    pq.write_table(table.rename_columns([names.get(name, name) for name in table.column_names]), tmp_path / "t.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    (tmp_path / "README.md").write_text("# A data set")
    (tmp_path / "stats.json").write_text(json.dumps({"rows": 80}))
    return tmp_path


COLUMNS = "query=claim,positive=evidence,negative=distractor"


@pytest.mark.slow
def test_a_folder_night_after_night(eci: Eci, folder: Path) -> None:
    vectors = folder / "elsewhere"
    (folder / "vectors").rename(vectors)
    vectors = vectors.rename(folder.parent / f"{folder.name}-vectors") / "vectors.parquet"
    given = ("run", "--triples", ".", "--out", "OUT", "--vectors", vectors, *SMALL)
    refused = eci(*given)
    assert refused.returncode == 2 and not (folder / "OUT").exists()
    assert f"did you mean --columns {COLUMNS}?" in refused.stderr
    first = eci(*given, "--columns", COLUMNS)
    assert first.returncode == 0, first.stderr
    assert "Passed over 2 files (no data): README.md, stats.json; 1 file (empty): empty.parquet." in first.stdout
    assert "80 rows in = 80 scored + 0 rejected + 0 duplicates" in first.stdout
    # the second night finds what the first one wrote, and what says nothing may change
    (folder / "README.md").write_text("# Another word")
    (folder / "more.jsonl").write_text("")
    second = eci(*given, "--columns", COLUMNS)
    assert second.returncode == 0 and "Nothing is new since that run" in second.stdout, second.stderr
    manifest = json.loads(next((folder / "OUT").glob("runs/*/manifest.json")).read_text())
    assert {Path(file["path"]).name: file["what"] for file in manifest["inputs"]} == {
        "t.parquet": "triples", "vectors.parquet": "vectors", "empty.parquet": "passed over: empty",
        "README.md": "passed over: no data", "stats.json": "passed over: no data",
    }  # fmt: skip
    ranked = json.loads(eci("rank", "--out", "OUT", "--json").stdout)
    assert [Path(file["path"]).name for file in ranked["passed_over"]] == ["README.md", "stats.json", "empty.parquet"]


def test_the_map_in_a_settings_file_and_of_ingest_and_plan(eci: Eci, folder: Path) -> None:
    (folder / "s.toml").write_text(
        'out = "OUT"\n[[inputs]]\ntriples = "t.parquet"\n'
        'columns = { query = "Claim", positive = "evidence", negative = "distractor" }\n'
    )
    planned = eci("plan", "s.toml")
    assert planned.returncode == 0 and "format triples: 80 rows" in planned.stdout, planned.stderr
    assert "Passed over" not in planned.stdout
    planned = eci(
        "plan", "--triples", folder, "--columns", COLUMNS, "--out", "OUT", "--vectors", "vectors/vectors.parquet"
    )
    assert planned.returncode == 2, "the vectors lie in the folder of triples here, and are none"
    told = eci("ingest", "--triples", "*.parquet", "--columns", COLUMNS, "--to", "to", "--quiet")
    assert told.returncode == 0 and "Passed over 1 file (empty): empty.parquet." in told.stdout, told.stderr
    table = pq.read_table(folder / "to" / "000000.parquet")
    assert table.num_rows == 80 and table["query"].null_count == table["negative"].null_count == 0


def test_nothing_but_empty_files_is_exit_code_2(eci: Eci, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.json"):
        (tmp_path / name).write_text("")
    pq.write_table(pa.table({"query": pa.array([], pa.string())}), tmp_path / "c.parquet")
    for command in (("run", "--out", "OUT"), ("plan", "--out", "OUT"), ("ingest", "--to", "OUT")):
        done = eci(*command, "--triples", "a.jsonl", "--triples", "b.json", "--triples", "c.parquet")
        assert done.returncode == 2 and "triples: all 3 files are empty: " in done.stderr
    assert not (tmp_path / "OUT").exists()
    (tmp_path / "a.jsonl").write_text('{"query_id": "q", "positive_id": "p", "negative_id": "n", "source": "s"}\n')
    done = eci("run", "--out", "OUT", "--triples", "a.jsonl", "--corpus", "b.json")
    assert done.returncode == 2 and "b.json: empty" in done.stderr


def test_standard_input_is_refused_in_words(eci: Eci, tmp_path: Path) -> None:
    done = eci("run", "--triples", "-", "--out", "OUT")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "triples: - is standard input, which is not read" in done.stderr and not (tmp_path / "OUT").exists()


def test_the_handed_parts(eci: Eci, cases: Path) -> None:
    """120 rows in one part, none in the other."""
    told = eci("ingest", "--triples", cases / "parts", "--to", "to", "--json", "--quiet")
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert (said["triples"], said["rejects"], said["files"]) == ({"bm25": 40, "dense": 40, "random": 40}, {}, 1)
