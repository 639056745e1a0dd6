"""`eci plan`: what it says of texts, queries and looks is what a run would meet, and it writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.config import make_config
from jobs.ids import id_array, positions_of, text_id
from jobs.pipeline.prepare import prepare
from jobs.planning.estimate import Estimate, sample_of
from jobs.planning.plan import make_plan
from tests.lakes import write_triples

QUERIES, POOL, SOURCES = 3000, 5000, 20


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str, str, str]]]:
    """Twenty files, one for each source, all over the same queries; negatives come from one pool."""
    folder = tmp_path_factory.mktemp("plan")
    rng = np.random.default_rng(0)
    rows = []
    for source in range(SOURCES):
        negatives = rng.integers(0, POOL, QUERIES)
        part = [(f"query {i}", f"positive {i}", f"negative {negatives[i]}", f"source {source}") for i in range(QUERIES)]
        write_triples(folder / f"{source}.parquet", part)
        rows += part
    return folder, rows


def texts_of(rows: list[tuple[str, str, str, str]], share: float = 1.0) -> set[tuple[str, str]]:
    """Return the distinct texts of the queries whose sample position is below a share."""
    queries = sorted({row[0] for row in rows})
    below = positions_of(id_array(text_id("query", q) for q in queries)) / 2.0**64 < share
    kept = {q for q, inside in zip(queries, below, strict=True) if inside}
    inside = [row for row in rows if row[0] in kept]
    return {("query", row[0]) for row in inside} | {("passage", text) for row in inside for text in row[1:3]}


def estimate(triples: str, **settings: Any) -> Estimate:
    prepared = prepare(make_config({"inputs": [{"triples": triples}], "out": "nowhere", **settings}))
    return Estimate.of(sample_of(prepared), SOURCES * QUERIES, len(prepared.inputs))


def test_files_over_the_same_queries_do_not_count_them_again(lake: Any) -> None:
    found = estimate(str(lake[0]))
    assert found.queries == pytest.approx(QUERIES, rel=0.01)
    assert found.texts == pytest.approx(len(texts_of(lake[1])), rel=0.1)


def test_shards_over_other_queries_add_up(lake: Any, tmp_path: Path) -> None:
    for shard in range(20):
        rows = [(f"query {shard} {i}", f"positive {shard} {i}", f"negative {shard} {i}", "a") for i in range(500)]
        write_triples(tmp_path / f"{shard:02d}.parquet", rows)
    prepared = prepare(make_config({"inputs": [{"triples": str(tmp_path)}], "out": "nowhere"}))
    found = Estimate.of(sample_of(prepared), 20 * 500, len(prepared.inputs))
    assert (found.queries, found.texts) == (10_000, 30_000)


def test_the_looks_are_those_of_a_run_that_may_stop_early(lake: Any) -> None:
    looks = estimate(str(lake[0])).looks()
    assert [look["queries"] for look in looks] == pytest.approx([750, 1500, 3000], rel=0.01)
    for look, share in zip(looks, (0.25, 0.5, 1.0), strict=True):
        assert look["texts"] == pytest.approx(len(texts_of(lake[1], share)), rel=0.1)


def test_few_queries_are_one_look_at_all_of_them(lake: Any, tmp_path: Path) -> None:
    write_triples(tmp_path / "few.parquet", lake[1][:600])
    prepared = prepare(make_config({"inputs": [{"triples": str(tmp_path)}], "out": "nowhere"}))
    looks = Estimate.of(sample_of(prepared), 600, 1).looks()
    assert looks == [{"queries": 600, "texts": len(texts_of(lake[1][:600]))}]


def test_ids_are_told_apart_as_texts_are_and_the_corpus_gives_texts_to_measure(lake: Any, tmp_path: Path) -> None:
    rows = lake[1][:2000]
    ids = {text: f"id {text}" for row in rows for text in row[:3]}
    with (tmp_path / "triples.jsonl").open("w") as file:
        for q, p, n, source in rows:
            record = {"query_id": ids[q], "positive_id": ids[p], "negative_id": ids[n], "source": source}
            file.write(json.dumps(record) + "\n")
    for name, texts in (("queries", {row[0] for row in rows}), ("corpus", {t for row in rows for t in row[1:3]})):
        lines = (json.dumps({"_id": ids[text], "text": text}) + "\n" for text in sorted(texts))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    config = make_config(
        {
            "inputs": [{"triples": str(tmp_path / "triples.jsonl")}],
            "out": str(tmp_path / "out"),
            "corpus": str(tmp_path / "corpus.jsonl"),
            "queries": str(tmp_path / "queries.jsonl"),
        }
    )
    plan = make_plan(config)
    assert plan["texts"] == plan["texts_to_embed"] == pytest.approx(len(texts_of(rows)), rel=0.02)
    assert plan["texts_per_second_and_worker"] > 0
    assert not (tmp_path / "out").exists()


def test_the_command_sets_the_looks_beside_the_whole_run_and_writes_nothing(
    eci: Callable[..., Any], lake: Any, tmp_path: Path
) -> None:
    done = eci("plan", "--triples", lake[0], "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    told = done.stdout.split("With --until-decided")[1].splitlines()[1:]
    assert len(told) == 3
    assert told[0].split()[2] == "750"
    assert told[2].endswith("(the whole run)")
    assert list(tmp_path.iterdir()) == []
