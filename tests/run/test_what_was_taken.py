"""What a run, a plan and `eci ingest` say of what they took and left: ranks of run files, rejects, ids, dangling links, losses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.config import Input, make_config
from jobs.errors import InputError
from jobs.formats.beir import DEFAULT_RANKS
from jobs.planning.plan import make_plan, plan_lines
from tests.conftest import run_lake
from tests.lakes import VectorLake, vector_lake, write_triples

Eci = Callable[..., CompletedProcess[str]]
QUICK: dict[str, Any] = {"folds": 4, "workers": 1, "no_probe": True}
TAKEN = "the hits at ranks 1:10 of each query are taken (the default; --ranks says otherwise)."


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    return vector_lake(tmp_path_factory.mktemp("lake"), 8, 200, sources=2, queries=50)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two runs of 12 queries with 15 hits each, the first of them the positive, with texts and judgements."""
    folder = tmp_path_factory.mktemp("ranked")
    queries, passages = [f"q{i}" for i in range(12)], [f"p{i}" for i in range(40)]
    for name in ("bm25.trec", "dense.trec"):
        hits = [f"{q} Q0 p{(i + k) % 40} {k + 1} {20 - k} x" for i, q in enumerate(queries) for k in range(15)]
        (folder / name).write_text("\n".join(hits) + "\n")
    (folder / "qrels.tsv").write_text("".join(f"{q} 0 p{i} 1\n" for i, q in enumerate(queries)))
    for name, ids in (("corpus", passages), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": i, "text": f"text of {i}"}) + "\n" for i in ids)
        )
    table = {"side": ["query"] * 12 + ["passage"] * 40, "id": [*queries, *passages]}
    vectors = [[float(k % 7), float(k % 5), float(k % 3), 1.0] for k in range(52)]
    pq.write_table(pa.table({**table, "vector": pa.array(vectors, pa.list_(pa.float32()))}), folder / "vectors.parquet")
    return {path.name.partition(".")[0]: path for path in folder.iterdir()}


def test_the_ranks_that_were_taken_are_said_by_every_command(eci: Eci, ranked: dict[str, Path], tmp_path: Path) -> None:
    texts = ("--corpus", ranked["corpus"], "--queries", ranked["queries"])
    files = ("--triples", ranked["bm25"], "--triples", ranked["dense"], "--qrels", ranked["qrels"])
    vectors = ("--vectors", ranked["vectors"], "--folds", 2, "--no-probe", "-q")
    both = f"Of run files bm25.trec, dense.trec, {TAKEN}"
    done = eci("ingest", *files, *texts, "--to", "to", "-q")
    assert both in done.stdout and "216 triples" not in done.stdout and "108 triples of bm25" in done.stdout
    planned = eci("plan", *files, *vectors[:-1], "--out", "out").stdout
    assert both in planned and "about 216 rows" in planned
    said = eci("run", *files, *vectors, "--out", "out").stdout
    assert both in said and "216 rows in = 216 scored" in said
    assert both in eci("rank", "--out", "out").stdout
    other = eci("run", *files, *vectors, "--ranks", "2:4", "--out", "out").stdout
    assert "Of run files bm25.trec, dense.trec, the hits at ranks 2:4 of each query are taken." in other
    assert "72 rows in = 72 scored" in other
    taken = json.loads(eci("rank", "--out", "out", "--json").stdout)["ranks"]
    assert taken == [{"ranks": "2:4", "by_default": False, "files": [str(ranked["bm25"]), str(ranked["dense"])]}]


def test_each_input_s_ranks_are_said(ranked: dict[str, Path]) -> None:
    inputs = [
        {"triples": str(ranked["bm25"]), "qrels": str(ranked["qrels"])},
        {"triples": str(ranked["dense"]), "qrels": str(ranked["qrels"]), "ranks": "20:40"},
    ]
    plan = make_plan(make_config({"inputs": inputs, "out": "nowhere", "vectors": str(ranked["vectors"])}))
    assert [(t["ranks"], t["by_default"]) for t in plan["ranks"]] == [("1:10", True), ("20:40", False)]


def test_the_default_ranks_stand_in_the_help() -> None:
    assert "(default: {}:{})".format(*DEFAULT_RANKS) in str(Input.model_fields["ranks"].description)


def test_a_run_without_run_files_says_nothing_of_ranks(lake: VectorLake) -> None:
    config = make_config({"inputs": [{"triples": str(lake.triples)}], "out": "nowhere", "vectors": str(lake.vectors)})
    assert make_plan(config)["ranks"] == []


def mixed(path: Path, good: int, bad: dict[str, int]) -> Path:
    """Write triples of one source, and rows that lack a negative, have an empty one, or a number for it."""
    wrong = {"null_field": None, "empty_text": "  ", "number": 7, "bad_record": 1.5}
    rows: list[Any] = [(f"query {i}", f"positive {i}", f"negative {i}", "a") for i in range(good)]
    rows += [(f"query {i}", "p", wrong[kind], "a") for kind, count in bad.items() for i in range(count)]
    names = ("query", "positive", "negative", "source")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


def plan_of(path: Path, **settings: Any) -> dict[str, Any]:
    return make_plan(make_config({"inputs": [{"triples": str(path)}], "out": "nowhere", **settings}))


def test_a_plan_says_what_will_be_rejected_and_does_not_count_it(tmp_path: Path, lake: VectorLake) -> None:
    path = mixed(tmp_path / "x.jsonl", 40, {"null_field": 3, "empty_text": 2, "bad_record": 5})
    plan = plan_of(path, vectors=str(lake.vectors))
    assert (plan["rows"], plan["rows_rejected"], plan["queries"], plan["texts"]) == (50, 10, 40, 120)
    assert plan["rejects_in_sample"] == {"bad_record": 5, "empty_text": 2, "null_field": 3} and plan["losses"] == []
    lines = plan_lines(plan)
    assert lines[0].startswith("reads      2 files, ") and lines[0].endswith("format triples: about 50 rows")
    assert lines[1] == (
        "rejects    about 10 of the rows (of 50 rows looked at: 5 bad_record, 2 empty_text, 3 null_field)"
    )
    whole = plan_lines(plan_of(mixed(tmp_path / "y.jsonl", 1, {}), vectors=str(lake.vectors), workers=1))
    assert (
        "about 1 row" in whole[0]
        and "of them 1 query" in whole[1]
        and "on 1 worker of " in whole[-2]
        and "each" not in whole[-2]
    )


def test_a_plan_over_nothing_usable_ends_as_the_run_does(tmp_path: Path, eci: Eci) -> None:
    path = mixed(tmp_path / "x.jsonl", 0, {"null_field": 4})
    said = "all rejected (4 x null_field); the first: "
    for command in ("plan", "run"):
        done = eci(command, "--triples", path, "--out", "out", "--no-probe")
        assert done.returncode == 2 and said in done.stderr and done.stdout == "", done
    assert eci("ingest", "--triples", path, "--to", "to").returncode == 2


def test_a_plan_names_a_source_at_which_the_run_would_stop(tmp_path: Path, lake: VectorLake) -> None:
    path = mixed(tmp_path / "x.jsonl", 4, {"null_field": 9})
    plan = plan_of(path, vectors=str(lake.vectors))
    assert plan["losses"] == [{"source": "a", "rows": 13, "lost": 9, "reasons": {"null_field": 9}}]
    with pytest.raises(InputError, match=r"source a loses 9 of 13 rows"):
        run_lake(tmp_path / "out", path, vectors=str(lake.vectors), **QUICK)
    assert plan_of(path, vectors=str(lake.vectors), allow_rejects=True)["losses"] == []


def test_a_number_in_the_place_of_a_text_is_said_to_be_an_id(tmp_path: Path, eci: Eci) -> None:
    path = mixed(tmp_path / "x.jsonl", 110, {"number": 1})
    hint = "a number in the place of a text is"
    assert hint in eci("ingest", "--triples", path, "--to", "to", "-q").stdout
    done = eci("run", "--triples", path, "--out", "out", "--no-probe", "--folds", 2, "-q")
    assert (
        f"1 row names a text by an id that no file has a text for, and {hint} such an id (bad_vector)." in done.stdout
    )
    sql = eci("sql", "SELECT reason, detail FROM rejects", "--out", "out", "--json")
    assert json.loads(sql.stdout)[0]["reason"] == "bad_vector" and hint in json.loads(sql.stdout)[0]["detail"]
    many = mixed(tmp_path / "many.jsonl", 10, {"number": 10})
    refused = eci("run", "--triples", many, "--out", "other", "--no-probe")
    assert refused.returncode == 2 and hint in refused.stderr and not (tmp_path / "other").exists()


def test_a_run_that_stands_with_losses_is_shown_only_where_they_are_allowed(tmp_path: Path, lake: VectorLake) -> None:
    rows = [*lake.rows, *((q, p, " ", "poor") for q, p, _, _ in lake.rows[:9]), (*lake.rows[0][:3], "poor")]
    write_triples(tmp_path / "x.parquet", rows)
    settings = QUICK | {"vectors": str(lake.vectors)}
    first = run_lake(tmp_path / "out", tmp_path / "x.parquet", allow_rejects=True, **settings)
    assert [loss["source"] for loss in first.losses] == ["poor"]
    with pytest.raises(InputError) as stopped:
        run_lake(tmp_path / "out", tmp_path / "x.parquet", **settings)
    assert "source poor loses 9 of 10 rows" in str(stopped.value)
    assert f"run {first.run_id}, made with --allow-rejects, stands" in str(stopped.value)
    again = run_lake(tmp_path / "out", tmp_path / "x.parquet", allow_rejects=True, **settings)
    assert again.unchanged and again.run_id == first.run_id


@pytest.mark.parametrize("named", ["folder", "glob", "itself"])
def test_a_link_to_nothing_is_a_reject_where_bad_files_are_skipped(
    named: str, tmp_path: Path, lake: VectorLake
) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    write_triples(folder / "a.parquet", lake.rows)
    (folder / "gone.parquet").symlink_to("elsewhere/gone.parquet")
    (folder / "round.parquet").symlink_to("round.parquet")
    given = {"folder": folder, "glob": folder / "*.parquet", "itself": folder / "gone.parquet"}[named]
    inputs = [{"triples": [str(given), str(folder / "a.parquet")]}]
    settings = QUICK | {"vectors": str(lake.vectors), "inputs": inputs}
    with pytest.raises(InputError, match="mend or remove it, or give --skip-bad-files"):
        run_lake(tmp_path / "out", None, **settings)
    done = run_lake(tmp_path / "out", None, skip_bad_files=True, **settings)
    bad = 1 if named == "itself" else 2
    assert (done.totals["rows_in"], done.totals["scored"], done.totals["rejected"]) == (200 + bad, 200, bad)
    rejects = pq.read_table(tmp_path / "out" / "runs" / done.run_id / "rejects").to_pylist()
    assert {row["reason"] for row in rejects} == {"bad_record"} and len(rejects) == bad
    assert "a link to elsewhere/gone.parquet, which is not there" in rejects[0]["detail"]
    assert run_lake(tmp_path / "out", None, skip_bad_files=True, **settings).unchanged
    write_triples(tmp_path / "lake" / "round2.parquet", lake.rows[:1])
    (folder / "gone.parquet").unlink()
    (folder / "gone.parquet").symlink_to("round2.parquet")
    mended = run_lake(tmp_path / "out", None, skip_bad_files=True, **settings)
    assert not mended.unchanged and mended.totals["rejected"] == bad - 1
