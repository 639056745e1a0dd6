"""What the commands say of sources that are named after files, and the ways to name them otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.config import make_config
from jobs.finished.text import named_line
from jobs.settings_file import load_settings
from tests.lakes import VectorLake, vector_lake


@pytest.fixture
def lake(tmp_path: Path) -> VectorLake:
    """100 triples without a source: 20 and 30 in two files train.jsonl, 50 in three shards."""
    lake = vector_lake(tmp_path / "lake", 8, 100, sources=2)
    for folder, part in (("bm25", lake.rows[:20]), ("dense", lake.rows[20:50])):
        (tmp_path / "own" / folder).mkdir(parents=True)
        lines = [json.dumps({"query": q, "pos": [p], "neg": [n]}) for q, p, n, _ in part]
        (tmp_path / "own" / folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "own" / "shards").mkdir()
    for k in range(3):
        columns = dict(zip(("anchor", "positive", "negative"), zip(*lake.rows[50 + k :: 3], strict=True), strict=False))
        pl.DataFrame(columns).write_parquet(tmp_path / "own" / "shards" / f"llm-{k:05d}-of-00003.parquet")
    return lake


SAID = (
    "Sources named after files: bm25 from bm25/train.jsonl (what tells paths apart); dense from dense/train.jsonl (what "
    "tells paths apart); llm from shards/llm-00000-of-00003.parquet and 2 more (file name without shard number). Name them "
    "with --triples NAME=PATH.\n"
)


def test_plan_run_and_ingest_say_it_in_one_line(lake: VectorLake, eci: Callable[..., Any], tmp_path: Path) -> None:
    given = ["--triples", "own", "--vectors", lake.vectors, "--out", "out", "--folds", "4", "--workers", "1"]
    plan = eci("plan", *given)
    assert (plan.returncode, plan.stderr) == (0, SAID)
    done = eci("run", *given, "--no-probe", "--quiet")
    assert (done.returncode, done.stderr) == (0, SAID)
    again = eci("run", *given, "--no-probe", "--quiet")
    assert "Nothing is new" in again.stdout and again.stderr == SAID
    ingested = eci("ingest", "--triples", "own", "--to", "to", "--json", "--quiet")
    assert (ingested.returncode, ingested.stderr) == (0, SAID)
    expected = {"bm25": 20, "dense": 30, "llm": 50}
    assert json.loads(ingested.stdout)["triples"] == expected
    rows = json.loads(eci("rank", "--out", "out", "--json").stdout)["ranking"]
    assert {row["source"]: row["n_examples"] for row in rows if row["kind"] == "source"} == expected
    (manifest,) = (json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").glob("*/manifest.json"))
    named = [(n["source"], n["rule"], [Path(f).name for f in n["files"]]) for n in manifest["named_after_files"]]
    assert named == [
        ("bm25", "what tells paths apart", ["train.jsonl"]),
        ("dense", "what tells paths apart", ["train.jsonl"]),
        ("llm", "file name without shard number", [f"llm-{k:05d}-of-00003.parquet" for k in range(3)]),
    ]


def test_a_name_before_a_path_makes_its_source(lake: VectorLake, eci: Callable[..., Any], tmp_path: Path) -> None:
    hive = tmp_path / "source=bm25"
    hive.mkdir()
    (tmp_path / "own" / "bm25" / "train.jsonl").rename(hive / "train.jsonl")
    named = [
        "--triples",
        "a=own/dense",
        "--triples",
        "a=own/shards",
        "--triples",
        "source=bm25/",
        "--triples",
        "b=source=bm25",
    ]
    done = eci("ingest", *named, "--to", "to", "--json", "--quiet")
    assert json.loads(done.stdout)["triples"] == {"a": 80, "b": 20, "bm25": 20}, done.stderr
    said = "Sources named after files: bm25 from source=bm25/train.jsonl (folder source=). Name them with --triples NAME=PATH.\n"
    assert done.stderr == said
    run = eci("plan", *named, "--vectors", lake.vectors, "--out", "out")
    assert (run.returncode, run.stderr) == (0, said)
    both = eci("ingest", *named, "--source", "mine", "--to", "to2")
    assert both.returncode == 2 and "--source mine names all triples, and --triples a=... some of them" in both.stderr
    absent = eci("ingest", "--triples", "a=absent.jsonl", "--to", "to2")
    assert absent.returncode == 2 and "absent.jsonl is a path or pattern that matches no file" in absent.stderr
    settings = '[[inputs]]\ntriples = "own/dense"\nsource = " a "\n[[inputs]]\ntriples = "own/shards"\n'
    (tmp_path / "s.toml").write_text(f'out = "out"\n{settings}')
    config = make_config(load_settings(str(tmp_path / "s.toml")))
    assert [item.source for item in config.inputs] == ["a", None]


def test_many_sources_are_told_by_the_first_ones() -> None:
    named = [{"source": f"s{k:02d}", "rule": "file name", "files": [f"/w/s{k:02d}.jsonl"]} for k in range(14)]
    line = named_line(named)  # type: ignore[arg-type]
    assert line is not None and "s11 from w/s11.jsonl (file name); and 2 more. Name" in line
    assert named_line([]) is None
