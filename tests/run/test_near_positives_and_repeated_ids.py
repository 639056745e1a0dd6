"""What is no fault of a row by itself is counted and said: negatives that are nearly the positive, ids with several texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from jobs.errors import InputError
from jobs.finished.result import RunResult
from jobs.ingest.distinct_texts import plain_keys
from jobs.retrieval.collection import read_collection
from tests.conftest import run_lake
from tests.lakes import vector_lake, write_vectors

CASES = Path(__file__).parents[3] / "shared" / "cases" / "reports"
QUICK: dict[str, Any] = {"folds": 4, "workers": 1, "no_probe": True}


def lines(path: Path, records: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run over 60 triples of a lake, and of a source `near` ten whose negatives are made from their positives."""
    folder = tmp_path_factory.mktemp("lake")
    lake = vector_lake(folder, 8, 60, sources=2)
    rows: list[dict[str, Any]] = [
        dict(zip(("query", "positive", "negative", "source"), row, strict=True)) for row in lake.rows
    ]
    query, positive = lake.rows[0][0], lake.rows[0][1]
    near = [
        positive.upper(), positive + " ", "\n" + positive.title(), positive.replace(" ", " \t "),
        positive.replace(" ", "\N{NO-BREAK SPACE}"), positive + "\x1f",
    ]  # fmt: skip
    other = [positive + ".", positive.replace(" ", ""), positive + " x"]
    rows += [{"query": query, "positive": positive, "negative": text, "source": "near"} for text in (*near, *other)]
    rows.append(rows[0] | {"negative": positive, "source": "near"})  # the same text: rejected
    # ids that records give to texts: 1 to two, 2 to one twice, 3 of a query and of a passage
    for row, ids in zip(rows, ({"query_id": "1"}, {"positive_id": "3"}), strict=False):
        row |= ids
    first = next(row for row in rows if row["query"] != query)
    others = [row for row in rows if row["query"] not in (query, first["query"])]
    first["query_id"] = "1"
    others[0]["query_id"] = "3"
    twice = next(row for row in others if row["query"] != others[0]["query"])
    for row in rows:
        if row["query"] == twice["query"]:
            row["query_id"] = "2"
    # a file of queries that has two more texts for the id a, and one text twice for the id b
    texts = ["first", "second", "second", "same", "same"]
    queries = [{"_id": key, "text": text} for key, text in zip("aaabb", texts, strict=True)]
    rows.append({"query_id": "a", "positive": positive, "negative": lake.rows[1][2], "source": "by id"})
    random = np.random.default_rng(1)
    more = {text: random.standard_normal(8).astype(np.float32) for text in (*near, *other)}
    write_vectors(lake.vectors, lake.queries | {"first": more[near[0]]}, lake.passages | more)
    return run_lake(
        folder / "out", None, vectors=str(lake.vectors), hybrids="near+source 0",
        inputs=[{"triples": lines(folder / "rows.jsonl", rows), "format": "triples"}],
        queries=lines(folder / "queries.jsonl", queries), **QUICK,
    )  # fmt: skip


def test_negatives_that_are_nearly_the_positive_are_counted_by_source(result: RunResult) -> None:
    totals = result.totals
    assert (totals["rows_in"], totals["scored"], totals["rejected"], totals["near_positive"]) == (71, 70, 1, 6)
    found = {row["source"]: row["n_near_positive"] for row in result.ranking.to_pylist() if row["kind"] != "mixture"}
    assert found == {"near": 6, "source 0": 0, "source 1": 0, "by id": 0, "near+source 0": 6}


def test_ids_of_several_texts_are_counted(result: RunResult) -> None:
    assert result.totals["repeated_ids"] == 2  # both records that say "second" of a
    assert result.totals["ids_of_several_texts"] == 1


def test_the_last_lines_say_so(result: RunResult, eci: Callable[..., Any]) -> None:
    said = eci("rank", "--out", result.out).stdout
    for line in (
        "Negatives that are their positive but for case or white space (near_positive): near 6.\n",
        "Records of --corpus or --queries that repeat an id with another text: 2; the first text was taken.\n",
        "Ids in the triples that stand for several texts: 1; each text was taken as its own.\n",
    ):
        assert line in said


def test_what_is_the_same_but_for_case_and_white_space() -> None:
    same = ["Über  Straße", "über straße", " ÜBER\tSTRASSE".replace("SS", "ß"), "über\u2003straße\u2028"]
    keys = plain_keys(pl.Series([*same, "überstraße", "über straße.", None, " \n", ""]))
    assert len(set(keys[:4].tolist())) == 1 and keys[0] != 0
    assert len(set(keys[:6].tolist())) == 3
    assert keys[6:].tolist() == [0, 0, 0]


def test_a_collection_with_an_id_of_two_texts_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "queries.jsonl", [{"_id": "q", "text": "a query"}])
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    lines(tmp_path / "corpus.jsonl", [{"_id": "1", "text": "a text"}] * 2)
    assert read_collection(str(tmp_path)).documents.texts == ["a text"]
    lines(tmp_path / "corpus.jsonl", [{"_id": "1", "text": "a text"}, {"_id": "1", "text": "another"}])
    with pytest.raises(InputError, match=r"corpus\.jsonl: id '1' stands for two texts"):
        read_collection(str(tmp_path))


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder shared/cases is not beside the repository")
def test_the_handed_case(tmp_path: Path) -> None:
    def records(name: str) -> list[dict[str, str]]:
        return [json.loads(line) for line in (CASES / name).read_text().split("\n") if line]

    corpus, queries = ({r["_id"]: r["text"] for r in records(f"r5_{n}.jsonl")} for n in ("corpus", "queries"))
    counts: Counter[tuple[str, str]] = Counter()
    for r in records("r5_triples.jsonl"):
        p, n = corpus[r["positive_id"]], corpus[r["negative_id"]]
        nearly = p.lower().split() == n.lower().split()
        counts[r["source"], "same" if p == n else "near" if nearly else "other"] += 1
    assert counts == {("mined", "near"): 30, ("mined", "same"): 10, ("bm25", "other"): 20}
    random = np.random.default_rng(0)
    vectors = [{t: random.standard_normal(8).astype(np.float32) for t in of.values()} for of in (queries, corpus)]
    write_vectors(tmp_path / "vectors.parquet", *vectors)
    given = {"corpus": str(CASES / "r5_corpus.jsonl"), "queries": str(CASES / "r5_queries.jsonl")}
    done = run_lake(
        tmp_path / "out", CASES / "r5_triples.jsonl", vectors=str(tmp_path / "vectors.parquet"), **given, **QUICK
    )
    assert (done.totals["scored"], done.totals["rejected"], done.totals["near_positive"]) == (50, 10, 30)
    rows = done.ranking.to_pylist()
    assert {r["source"]: r["n_near_positive"] for r in rows if r["kind"] == "source"} == {"mined": 30, "bm25": 0}
