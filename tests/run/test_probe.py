"""The probe in a real run: what it publishes, what people are told, and when there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import jobs
from jobs.finished.result import RunResult, ranking_of
from jobs.output.query import query
from jobs.output.store import Store
from tests.conftest import run_lake
from tests.lakes import write_triples, write_vectors

DIM, QUERIES, SIZE = 16, 520, 1000


def write_lake(folder: Path, queries_count: int, size: int) -> None:
    """Queries that a rotation has taken off their positives, so that there is something to learn.

    Sources: `near` of the passages that are nearest, `again` the same triples in another order, `far` of the farthest,
    `few` for every fifth query, and `polluted` of false negatives, which say what the positive says.
    """
    random = np.random.default_rng(8)
    passages = random.standard_normal((size, DIM))
    turned = np.eye(DIM) + 1.0 * random.standard_normal((DIM, DIM)) / np.sqrt(DIM)
    queries = passages[:queries_count] @ turned + 0.5 * random.standard_normal((queries_count, DIM))
    pieces = passages[:queries_count] + 0.05 * random.standard_normal((2, queries_count, DIM))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, passages)]
    near = np.argsort(-(unit[0] @ unit[1].T), axis=1)
    rows: dict[str, list[tuple[str, str, str]]] = {name: [] for name in ("near", "far", "few", "polluted")}
    for q in range(queries_count):
        others = [int(p) for p in near[q] if p != q]
        text = (f"query {q}", f"passage {q}")
        rows["near"] += [(*text, f"passage {p}") for p in others[:4]]
        rows["far"] += [(*text, f"passage {p}") for p in others[-4:]]
        rows["few"] += [(*text, f"passage {p}") for p in others[:4] if q % 5 == 0]
        rows["polluted"] += [(*text, f"piece {k} {q}") for k in (0, 1)]
    rows["again"] = rows["near"][::-1]
    write_triples(folder / "lake.parquet", [(*row, name) for name, some in rows.items() for row in some])
    texts = {f"passage {k}": v for k, v in enumerate(passages)} | {
        f"piece {k} {q}": v for k in (0, 1) for q, v in enumerate(pieces[k])
    }
    write_vectors(folder / "vectors.parquet", {f"query {k}": v for k, v in enumerate(queries)}, texts)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    write_lake(folder, QUERIES, SIZE)
    return folder


@pytest.fixture(scope="module")
def result(lake: Path) -> RunResult:
    return run_lake(lake / "out", lake / "lake.parquet", vectors=(str(lake / "vectors.parquet"),), folds=8)


@pytest.fixture(scope="module")
def found(result: RunResult) -> dict[str, Any]:
    return ranking_of(result.out)


def gains(found: dict[str, Any]) -> dict[str, float]:
    return {row["source"]: row["gain"] for row in found["probe"].rows}


def pair(found: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    return next(p for p in found["probe"].pairs if (p["source_a"], p["source_b"]) == (a, b))


def test_no_rank_goes_against_a_decided_pair_the_first_has_the_most_evidence_and_every_pair_is_there(found):
    rows = found["probe"].rows
    rank = {row["source"]: row["rank"] for row in rows}
    assert list(rank.values()) == list(range(1, len(rows) + 1))
    assert all(
        rank[p["source_a"]] < rank[p["source_b"]] for p in found["probe"].pairs if p["decided"] and p["difference"] > 0
    )
    assert rows[0]["evidence"] == max(row["evidence"] for row in rows if row["rank_low"] == 1)
    assert {"near", "again", "far", "few", "polluted"} < set(gains(found))
    assert len(found["probe"].pairs) == len(rows) * (len(rows) - 1)
    for p in found["probe"].pairs:
        assert p["difference"] == pytest.approx(gains(found)[p["source_a"]] - gains(found)[p["source_b"]])
        assert p["low"] <= p["difference"] <= p["high"]


def test_the_same_triples_in_another_order_are_a_tie(found):
    same = pair(found, "near", "again")
    assert (same["difference"], same["decided"], same["p_value"]) == (0.0, False, 1.0)


def test_false_negatives_are_decidedly_below_real_ones(found):
    assert gains(found)["near"] > gains(found)["polluted"]
    assert pair(found, "near", "polluted")["decided"]


def test_a_source_of_few_queries_is_judged_on_all_and_its_coverage_is_shown(found):
    rows = {row["source"]: row for row in found["probe"].rows}
    assert {row["queries"] for row in rows.values()} == {QUERIES}
    assert rows["few"]["n_queries"] == QUERIES // 5 and rows["near"]["n_queries"] == QUERIES
    assert rows["few"]["parts"] == ["few"]


def test_the_best_three_are_tried_in_pairs(found):
    hybrids = {row["source"]: row["parts"] for row in found["probe"].rows if row["kind"] == "hybrid"}
    best = [row["source"] for row in found["probe"].rows if row["kind"] == "source"][:3]
    assert set(hybrids) == {f"{a}+{b}" for a in best for b in best if a < b}
    assert all("+".join(parts) == name for name, parts in hybrids.items())


def test_invented_negatives_are_not_ranked(found):
    """The pieces stand beside one query each: the pool is what is left of the passages."""
    assert {row["pool"] for row in found["probe"].rows} <= set(range(QUERIES, SIZE + 1))


def test_the_curve_ends_with_the_budget(found):
    steps = {(p["source"], p["steps"]) for p in found["probe"].curve}
    assert {step for source, step in steps if source == "near"} == {25, 50, 100, 200}
    last = [p for p in found["probe"].curve if p["steps"] == 200]
    assert all((p["change"], p["change_se"]) == (0.0, 0.0) for p in last)


def test_tables_are_views_with_a_history(result):
    store = Store(result.out)
    for name, least in (("source_probe", 8), ("probe_pairs", 56), ("probe_curve", 32), ("source_probe_history", 8)):
        assert query(store, f"SELECT count(*) AS n FROM {name}").read_all()["n"].to_pylist()[0] >= least, name


def test_python_has_the_same(result):
    ranked = jobs.rank(result.out)
    order = [s for s in ranked.probe["source"].to_pylist() if "+" not in s]
    assert ranked.ranking["source"].to_pylist()[: len(order)] == order
    by_eci = jobs.rank(result.out, by="eci").ranking
    assert by_eci["rank"].to_pylist()[: len(order)] == list(range(1, len(order) + 1))
    with pytest.raises(jobs.InputError, match="allowed: probe, eci"):
        jobs.rank(result.out, by="gain")


def test_the_answer_names_the_tie_and_what_eci_says(result, eci):
    told = eci("rank", "--out", result.out).stdout
    _, answer = told.strip().split("\n\n")
    assert "Nothing is decided between" in answer and "again" in answer and "near" in answer
    assert "ECI agrees" in answer or "ECI disagrees" in answer
    assert "Negatives for fewer than half of the queries: few 104." in answer
    assert " times " not in told and "% more" not in told
    old = eci("rank", "--out", result.out, "--by", "eci").stdout
    assert "By ECI," in old and "nDCG" not in old
    document = json.loads(eci("rank", "--out", result.out, "--json").stdout)
    assert {"rows", "pairs", "curve"} == set(document["probe"])


def test_ids_without_texts_give_the_same_gains(lake, found, tmp_path):
    """Triples of ids, vectors by the same ids: nothing of the probe needs a text."""
    frame = pl.read_parquet(lake / "lake.parquet")
    frame.rename({c: f"{c}_id" for c in ("query", "positive", "negative")}).write_parquet(tmp_path / "ids.parquet")
    vectors = pl.read_parquet(lake / "vectors.parquet").rename({"text": "id"})
    vectors.write_parquet(tmp_path / "vectors.parquet")
    run_lake(tmp_path / "out", tmp_path / "ids.parquet", vectors=(str(tmp_path / "vectors.parquet"),), folds=8)
    assert gains(ranking_of(str(tmp_path / "out"))) == gains(found)


def test_a_sampled_run_is_probed_on_what_it_has_looked_at(lake, tmp_path):
    sampled = run_lake(tmp_path / "out", lake / "lake.parquet", vectors=(str(lake / "vectors.parquet"),), folds=8,
                       sample_queries=220, probe={"halvings": 1})  # fmt: skip
    told = ranking_of(sampled.out)
    assert told["probe"].rows[0]["queries"] == told["sample"]["queries"] < QUERIES


def test_with_too_few_queries_there_is_none_and_a_sentence_says_so(lake, tmp_path, eci):
    frame = pl.read_parquet(lake / "lake.parquet")
    few = frame.filter(pl.col("query").is_in([f"query {k}" for k in range(120)]))
    few.write_parquet(tmp_path / "few.parquet")
    out = run_lake(tmp_path / "out", tmp_path / "few.parquet", vectors=(str(lake / "vectors.parquet"),), folds=8).out
    told = ranking_of(out)
    assert told["probe"] is None and told["why_no_probe"].startswith("No probe: 120 queries are there")
    assert told["why_no_probe"] in eci("rank", "--out", out).stdout
    assert query(Store(out), "SELECT * FROM source_probe").read_all().num_rows == 0


def test_no_probe_leaves_it_out(lake, tmp_path):
    out = run_lake(tmp_path / "out", lake / "lake.parquet", vectors=(str(lake / "vectors.parquet"),), no_probe=True).out
    told = ranking_of(out)
    assert told["probe"] is None and "--no-probe" in told["why_no_probe"]
    assert not list(Path(out).rglob("*probe*"))


def test_eci_probe_on_a_finished_run_gives_what_the_run_gave(result, found):
    again = jobs.probe(result.out)
    assert again.run_id == result.run_id
    assert again.probe.rows == found["probe"].rows
    assert again.probe.pairs == found["probe"].pairs


def test_a_training_file_is_tried_out_beside_the_sources_and_leaves_nothing(lake, result, tmp_path):
    """The file holds what `near` holds, under other names: it is a tie with it, on the same queries, and better than `far`."""
    frame = pl.read_parquet(lake / "lake.parquet").filter(pl.col("source") == "near").drop("source")
    frame.rename({"query": "claim", "negative": "distractor"}).write_ndjson(tmp_path / "mined.jsonl")
    before = sorted(str(p) for p in Path(result.out).rglob("*"))
    name = str(tmp_path / "mined.jsonl")
    asked = jobs.Asked((name,), ("near", "far"), ("far+near",), columns=("query=claim,negative=distractor",))
    tried = jobs.probe(result.out, asked=asked)
    told = {"probe": tried.probe}
    assert pair(told, name, "near")["difference"] == 0.0
    assert pair(told, name, "far")["decided"] and gains(told)[name] > gains(told)["far"]
    assert "far+near" in gains(told)
    assert sorted(str(p) for p in Path(result.out).rglob("*")) == before


def test_some_sources_alone_are_tried_out_again(result, found):
    tried = jobs.probe(result.out, asked=jobs.Asked(sources=("near", "far")))
    told = {"probe": tried.probe}
    assert set(gains(told)) == {"near", "far", "far+near"}
    assert gains(told)["near"] == pytest.approx(gains(found)["near"], abs=0.03)  # the pool is of these sources


def test_eci_probe_says_what_is_wrong_in_one_line(result, lake, tmp_path, eci):
    frame = pl.read_parquet(lake / "lake.parquet")
    frame.filter(pl.col("query").is_in([f"query {k}" for k in range(50)])).write_parquet(tmp_path / "few.parquet")
    (tmp_path / "near").mkdir()
    for more, said in (
        (["--source", "neer"], "did you mean 'near'"),
        (["--hybrid", "near+fat"], "did you mean 'far'"),
        (["--hybrid", "near+near"], "two or more different sources"),
        (["--hybrid", "near"], "two or more different sources"),
        (["--rate", "7"], "rate: must be less than or equal to 1"),
        (["--triples", "few.parquet"], "No probe: 50 queries are there"),
        (["--triples", "absent.parquet"], "absent.parquet"),
        (
            ["--triples", "few.parquet", "--columns", "query=claim"],
            "no column 'claim', which --columns query=claim names",
        ),
        (["--columns", "query=claim"], "--columns goes with --triples"),
        (["--triples", "near"], "the run has a source of this name"),
        (["--run", "20200101T000000Z-000000"], "no run"),
    ):
        process = eci("probe", "--out", result.out, "--quiet", *more)
        assert process.returncode == 2 and said in process.stderr, (more, process.stderr)
        assert process.stderr.startswith("eci: ") and process.stderr.count("\n") == 1


def test_a_mixture_of_what_the_probe_has_decided_against_is_contradicted(result, eci):
    told = eci("mix", "--out", result.out, "--parts", "near=0.5,far=0.5").stdout
    assert "The probe contradicts: " in told and "decidedly more than far +" in told
    assert jobs.mix(result.out, parts="near=1.0")["probe_against"] is None


def test_a_run_that_decides_by_the_probe_stops_when_its_leader_is_decided(tmp_path):
    write_lake(tmp_path, 3000, 3400)
    frame = pl.read_parquet(tmp_path / "lake.parquet")
    frame.filter(pl.col("source").is_in(["near", "far"])).write_parquet(tmp_path / "two.parquet")
    given = {"vectors": (str(tmp_path / "vectors.parquet"),), "folds": 8, "until_decided": 0.95, "decide_by": "probe"}
    out = run_lake(tmp_path / "out", tmp_path / "two.parquet", **given).out
    told = ranking_of(out)
    sample, rows = told["sample"], told["probe"].rows
    assert sample["decided"] and sample["open_pairs"] == [] and sample["queries"] < 3000
    assert {row["queries"] for row in rows} == {sample["queries"]}  # the probe is that of the look that decided
    assert gains(told)["near"] > gains(told)["far"] and pair(told, "near", "far")["decided"]
    assert "far+near" in gains(told)


def test_a_question_that_the_probe_cannot_answer_stays_open(lake, tmp_path):
    given = {"vectors": (str(lake / "vectors.parquet"),), "folds": 8, "until_decided": 0.95, "decide_by": "probe"}
    frame = pl.read_parquet(lake / "lake.parquet")
    few = [f"query {k}" for k in range(150)]
    frame.filter(pl.col("query").is_in(few)).write_parquet(tmp_path / "few.parquet")
    told = ranking_of(run_lake(tmp_path / "out", tmp_path / "few.parquet", **given).out)
    assert told["sample"]["decided"] is False and told["why_no_probe"].startswith("No probe: 150 queries")
