"""Runs are found, named by the beginning of their ids, compared, and said to be too few where they are."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.decide.diff import diff
from jobs.errors import EciError, InputError
from jobs.finished.committed import Finished
from jobs.finished.listing import runs_of
from jobs.finished.result import rank
from jobs.output.root import claim
from jobs.output.runs import named
from jobs.output.store import Store
from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples


def told(*arguments: object) -> str:
    """Return what a command prints. Raises its error."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if isinstance(done.exception, EciError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights over a lake of 200 triples of two sources: 150, 200, and a sample of 200."""
    folder = tmp_path_factory.mktemp("nights")
    lake = vector_lake(folder / "lake", 8, 200, sources=2, queries=60)
    settings: dict[str, Any] = {"vectors": str(lake.vectors), "folds": 4, "no_probe": True}
    for rows, more in ((150, {}), (200, {}), (200, {"sample_queries": 10})):
        write_triples(lake.triples, lake.rows[:rows])
        run_lake(folder / "out", lake.triples, **settings, **more)
    return folder / "out"


@pytest.fixture(scope="module")
def ids(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "runs").iterdir())


def test_runs_are_listed_newest_first_with_sizes_and_samples(out: Path, ids: list[str]) -> None:
    rows = runs_of(str(out))
    assert [row["run_id"] for row in rows] == ids[::-1]
    assert [row["sampled"] for row in rows] == [True, False, False]
    assert [row["scored"] for row in rows][1:] == [200, 150] and rows[0]["scored"] < 200
    sizes = [sum(p.stat().st_size for p in (out / "runs" / run).rglob("*.parquet")) for run in ids]
    assert [row["bytes"] for row in rows] == sizes[::-1]
    lines = told("runs", "--out", out).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ids[::-1]
    queries = len(pq.read_table(out.parent / "lake" / "triples.parquet")["query"].unique())
    assert 10 <= rows[0]["queries"] < queries < 61
    assert (
        f"sampled, {rows[0]['queries']} of {queries} queries, vectors" in lines[0] and "200 triples  whole" in lines[1]
    )
    assert lines[3].startswith("3 runs, ") and f"eci gc --keep-runs N --out {out} keeps the newest N." in lines[3]
    assert [row["run_id"] for row in json.loads(told("runs", "--json", "--out", out))] == ids[::-1]


def test_a_run_whose_manifest_is_damaged_is_listed_as_such_and_hides_no_other(
    tmp_path: Path, out: Path, ids: list[str]
) -> None:
    for number, body in enumerate(("{", "{}")):
        folder = tmp_path / "runs" / f"20200101T00000{number}Z-abcdef"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(body)
    shutil.copytree(out / "runs" / ids[0], tmp_path / "runs" / ids[0])
    lines = told("runs", "--out", tmp_path).splitlines()
    assert "whole" in lines[0] and all("cannot be read: " in line for line in lines[1:3]) and len(lines) == 4


def test_a_root_without_runs_says_so(tmp_path: Path) -> None:
    claim(Store(str(tmp_path)))
    said = f"{tmp_path} holds no finished run; eci status --out {tmp_path} says whether one has begun.\n"
    assert told("runs", "--out", tmp_path) == said


def test_a_run_is_named_by_the_beginning_of_its_id(out: Path, ids: list[str]) -> None:
    store = Store(str(out))
    for run_id in ids:
        short = next(run_id[:k] for k in range(1, 30) if sum(i.startswith(run_id[:k]) for i in ids) == 1)
        assert len(short) < len(run_id) and named(store, short) == named(store, run_id) == run_id
        assert Finished.open(str(out), short).run_id == rank(str(out), short).run_id == run_id
        assert json.loads(told("rank", "--run", short, "--json", "--out", out))["run_id"] == run_id
        assert run_id in told("report", "--run", short, "--out", out)
    assert named(store) == ids[-1]
    with pytest.raises(InputError, match=f"'20' begins the ids of 3 runs \\({', '.join(ids)}\\); give more of it"):
        named(store, "20")
    for nothing in ("19", "", "202x"):
        with pytest.raises(InputError, match="no run"):
            named(store, nothing)


def test_diff_takes_the_last_two_where_it_is_not_told_which(out: Path, ids: list[str]) -> None:
    def compared(*runs: str) -> tuple[str, str]:
        found = diff(str(out), *runs)
        return found["run_a"], found["run_b"]

    assert compared() == (ids[1], ids[2])
    assert compared(ids[0]) == (ids[0], ids[2])
    assert compared(ids[2]) == (ids[1], ids[2])
    assert compared(ids[1], ids[0]) == (ids[1], ids[0])
    assert told("diff", "--out", out).startswith(f"{ids[1]} -> {ids[2]}\n")
    assert told("diff", ids[0], "--out", out).startswith(f"{ids[0]} -> {ids[2]}\n")


def test_a_single_run_has_nothing_to_be_compared_with(tmp_path: Path, out: Path, ids: list[str]) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copytree(out / "runs" / ids[1], tmp_path / "runs" / ids[1])
    (tmp_path / "LATEST").write_text(ids[1])
    with pytest.raises(InputError, match=f"no run before {ids[1]} to compare it with; eci runs lists"):
        diff(str(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_rows_of_a_query_go_to_the_file_that_is_named(out: Path, tmp_path: Path, kind: str) -> None:
    sql, to = "SELECT source, n_examples FROM source_eci WHERE kind = 'source' ORDER BY source", tmp_path / "rows"
    assert told("sql", sql, "--format", kind, "--output", to, "--out", out) == ""
    read = {
        "csv": lambda: [[a, int(b)] for a, b in list(csv.reader(to.open()))[1:]],
        "json": lambda: [list(row.values()) for row in json.loads(to.read_text())],
        "parquet": lambda: [list(row.values()) for row in pq.read_table(to).to_pylist()],
    }
    rows = Finished.open(str(out)).examples()
    assert read[kind]() == [[source, rows[source]] for source in ("source 0", "source 1")]


def test_a_table_goes_to_no_file(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format tsv, csv, json or parquet"):
        told("sql", "FROM idf", "--format", "table", "--output", tmp_path / "rows", "--out", out)
    assert not (tmp_path / "rows").exists()


def test_run_s_json_holds_the_ranking(out: Path, tmp_path: Path) -> None:
    lake = out.parent / "lake"
    options = ["--vectors", lake / "vectors.parquet", "--folds", "4", "--no-probe", "--sample-queries", "10"]
    options += ["--workers", "2", "--memory", "4GB"]
    found = json.loads(told("run", "--triples", lake / "triples.parquet", *options, "--json", "--out", out))
    ranking = json.loads(told("rank", "--json", "--out", out))
    assert found["unchanged"] and found["out"] == str(out)
    assert {name: found[name] for name in ranking} == ranking and len(ranking["ranking"]) >= 2


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert told("--version") == f"eci-lake {version('eci-lake')}\n"


@pytest.mark.parametrize("command", ["run", "plan"])
def test_files_in_the_place_of_settings_and_globs_without_quotes_get_a_hint(command: str, tmp_path: Path) -> None:
    for given in (["a.jsonl"], ["--triples", "a.parquet", "b.parquet"], [str(tmp_path)], ["lake/*"]):
        with pytest.raises(InputError, match="no settings file: triples go with --triples.*goes in quotes"):
            told(command, *given, "--out", tmp_path / "out")
    given = ["--triples", "a.parquet", "b.parquet", "c.parquet", "d.parquet"]
    with pytest.raises(
        InputError, match=f"eci {command} does not know what to do with c.parquet, d.parquet. A glob goes in quotes"
    ):
        told(command, *given, "--out", tmp_path / "out")


def test_an_unquoted_glob_for_ingest_gets_the_hint_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"what to do with b.jsonl. A glob goes in quotes"):
        told("ingest", "--triples", "a.jsonl", "b.jsonl", "--to", tmp_path / "to")


@pytest.mark.parametrize(
    ("mix", "said"), [("a=2", "--mix 'a=2' is not"), ("source 0=0.1,source 1=0.1", "--mix: the shares sum to 0.2")]
)
def test_an_error_in_a_mix_names_the_option_that_was_given(out: Path, tmp_path: Path, mix: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        told("select", "--sampled", "--mix", mix, "--to", tmp_path / "to", "--out", out)
    with pytest.raises(InputError, match=said.replace("--mix", "--parts")):
        told("mix", "--sampled", "--parts", mix, "--out", out)


def test_one_query_has_no_interval_and_that_is_said_everywhere(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 200, sources=2, queries=10)
    query = lake.rows[0][0]
    rows = [row for row in lake.rows if row[0] == query]
    write_triples(lake.triples, rows)
    run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    ranked = told("rank", "--out", tmp_path / "out")
    mixed = told("mix", "--out", tmp_path / "out")
    page = Path(told("report", "--out", tmp_path / "out").strip()).read_text()
    text = page.split("<script")[0]
    for shown in (ranked, mixed, text):
        assert "too few" in shown and "nan" not in shown.lower().split()
    assert ranked.count("Too few for an interval: ") == 1
    assert "source 0 has 1 query" in ranked and "source 1 has 1 query" in ranked
    write_triples(lake.triples, rows[:-1])
    run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), folds=4)
    assert "too few folds to say" in told("diff", "--out", tmp_path / "out")
