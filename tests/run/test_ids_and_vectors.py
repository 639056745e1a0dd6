"""Triples that hold ids, with texts beside them or only vectors; vectors that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, vector_lake, write_triples, write_vectors


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    return vector_lake(tmp_path_factory.mktemp("lake"), 16, 300, sources=3)


def test_ids_with_corpus_and_queries_give_what_texts_give(lake: VectorLake, tmp_path: Path) -> None:
    texts = {text: str(i) for i, text in enumerate([*lake.queries, *lake.passages])}
    rows = [
        {"query_id": int(texts[q]), "positive_id": texts[p], "negative_id": texts[n], "source": s}
        for q, p, n, s in lake.rows
    ]
    rows.append(
        {
            "query_id": texts[lake.rows[0][0]],
            "positive_id": texts[lake.rows[0][1]],
            "negative_id": "nobody",
            "source": "source 0",
        }
    )
    (tmp_path / "triples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": texts[t], "title": "", "text": t}) for t in lake.passages)
    )
    (tmp_path / "queries.tsv").write_text("\n".join(f"{texts[t]}\t{t}" for t in lake.queries))
    by_id = run_lake(tmp_path / "ids", tmp_path / "triples.jsonl", vectors=str(lake.vectors),
                     corpus=str(tmp_path / "corpus.jsonl"), queries=str(tmp_path / "queries.tsv"))  # fmt: skip
    by_text = run_lake(tmp_path / "texts", lake.triples, vectors=str(lake.vectors))
    assert by_id.totals["rejected"] == 1
    a, b = tables_of(tmp_path / "ids", by_id.run_id), tables_of(tmp_path / "texts", by_text.run_id)
    names = [path for path in a if path.startswith(("scores/", "moments", "idf"))]
    assert same_bytes({n: a[n] for n in names}, {n: b[n] for n in names}) == []


def test_ids_and_vectors_without_texts_have_no_lexical_side(lake: VectorLake, tmp_path: Path) -> None:
    ids = {text: f"id-{i}" for i, text in enumerate([*lake.queries, *lake.passages])}
    columns = list(zip(*[(ids[q], ids[p], ids[n], s) for q, p, n, s in lake.rows], strict=True))
    names = ("query_id", "positive_id", "negative_id", "source")
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), tmp_path / "triples.parquet")
    vectors = [(ids[t], "query", v) for t, v in lake.queries.items()] + [
        (ids[t], "passage", v) for t, v in lake.passages.items()
    ]
    pq.write_table(pa.table({"id": [v[0] for v in vectors], "side": [v[1] for v in vectors],
                             "vector": pa.array([v[2].tolist() for v in vectors], pa.list_(pa.float32()))}), tmp_path / "vectors.parquet")  # fmt: skip
    result = run_lake(tmp_path / "out", tmp_path / "triples.parquet", vectors=str(tmp_path / "vectors.parquet"))
    assert result.totals["scored"] == 300
    for row in result.ranking.to_pylist():
        assert row["lexical_overlap"] is None
        assert row["mean_residuality"] == 1.0


def test_unusable_vectors_reject_their_triples_and_no_others(lake: VectorLake, tmp_path: Path) -> None:
    bad = {
        "zero": np.zeros(16), "nan": np.full(16, np.nan), "short": np.ones(15), "inf": np.full(16, np.inf),
        "denormal": np.full(16, 1e-42), "long": np.full(16, 3e38),
    }  # fmt: skip
    rows = [(lake.rows[0][0], lake.rows[0][1], f"{name} negative", "broken") for name in [*bad, "absent"]]
    write_triples(tmp_path / "triples.parquet", [*lake.rows, *rows])
    passages = lake.passages | {f"{name} negative": vector.astype(np.float32) for name, vector in bad.items()}
    write_vectors(tmp_path / "vectors.parquet", lake.queries, passages)
    given = {"vectors": str(tmp_path / "vectors.parquet"), "allow_rejects": True}
    result = run_lake(tmp_path / "out", tmp_path / "triples.parquet", **given)
    assert (result.totals["scored"], result.totals["rejected"]) == (300, 7)
    rejects = pq.read_table(tmp_path / "out" / "runs" / result.run_id / "rejects" / "part-000.parquet").to_pylist()
    assert {row["reason"] for row in rejects} == {"bad_vector"}
    assert [row["row"] for row in rejects] == list(range(300, 307))
    assert "broken" not in {row["source"] for row in result.ranking.to_pylist()}


@pytest.mark.parametrize("record", [
    {"query_id": "q1", "positive_id": "p1", "negative_id": "n1", "source": "a"},
    {"query": 1, "positive": 2, "negative": 3, "source": "a"},
])  # fmt: skip
def test_ids_that_no_file_has_a_text_for_end_at_once_with_the_remedy(tmp_path, eci, record):
    texts = {"query": "a question", "positive": "an answer", "negative": "another", "source": "a"}
    counted = "2 passages and 1 queries are named by an id alone"
    said = {
        ("run", "alone"): f"{counted} in the first records of {tmp_path}/alone.jsonl",
        ("plan", "alone"): f"{counted} in the first records of {tmp_path}/alone.jsonl",
        ("run", "mixed"): f"{counted} (a number in the place of a text is such an id), and",
        ("plan", "mixed"): f"{counted} (a number in the place of a text is such an id), and",
    }
    for (command, name), start in said.items():
        rows = [record] if name == "alone" else [texts, record]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        done = eci(command, "--triples", f"{name}.jsonl", "--out", "out", *(["--quiet"] if command == "run" else []))
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith(f"eci: {start}"), done.stderr
        assert "give --corpus and --queries" in done.stderr
        assert not (tmp_path / "out").exists()


def test_one_side_by_id_asks_for_the_file_of_that_side_alone(tmp_path: Path, eci: Any) -> None:
    rows = [{"query": f"question {i}", "positive_id": "p1", "negative_id": f"n{i}", "source": "a"} for i in range(9)]
    (tmp_path / "half.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "queries.tsv").write_text("q1\tsomething\n")
    for more in ([], ["--queries", "queries.tsv"]):
        for command in ("run", "plan"):
            done = eci(command, "--triples", "half.jsonl", "--out", "out", *more)
            assert done.returncode == 2 and "Traceback" not in done.stderr
            assert (
                f"10 passages are named by an id alone in the first records of {tmp_path}/half.jsonl" in done.stderr
                and "give --corpus (" in done.stderr
            )


def by_id(folder: Path, lake: VectorLake, change: Any) -> tuple[Path, Path]:
    """Write the lake by ids and vectors by id, each vector's row (id, side, vector) as `change(number, row)` has it."""
    ids = {text: f"id-{i}" for i, text in enumerate([*lake.queries, *lake.passages])}
    rows = [{"query_id": ids[q], "positive_id": ids[p], "negative_id": ids[n], "source": s} for q, p, n, s in lake.rows]
    (folder / "triples.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sided = [
        *((t, "query", v) for t, v in lake.queries.items()),
        *((t, "passage", v) for t, v in lake.passages.items()),
    ]
    found = [change(i, (ids[text], side, vector.tolist())) for i, (text, side, vector) in enumerate(sided)]
    columns = [list(column) for column in zip(*found, strict=True)]
    vectors = [columns[0], columns[1], pa.array(columns[2], pa.list_(pa.float32()))]
    pq.write_table(pa.table(vectors, names=["id", "side", "vector"]), folder / "vectors.parquet")
    return folder / "triples.jsonl", folder / "vectors.parquet"


USUAL = {"query": ["query", "q", "queries", "Query "],
         "passage": ["passage", "p", "passages", "document", "doc", "docs", "corpus", "DOC"]}  # fmt: skip


def test_a_side_may_be_called_by_any_of_its_usual_words(lake: VectorLake, tmp_path: Path) -> None:
    def called(i: int, row: Any) -> Any:
        return row[0], USUAL[row[1]][i % len(USUAL[row[1]])], row[2]

    triples, vectors = by_id(tmp_path, lake, called)
    assert run_lake(tmp_path / "out", triples, vectors=str(vectors)).totals["scored"] == 300


REFUSED = {
    "no id matches": (
        lambda i, row: ("X" + row[0], *row[1:]),
        ["none of the", "queries has a usable vector", "the id 'Xid-0'", "the triples the id 'id-", "--queries"],
    ),
    "no passage matches": (
        lambda i, row: ("X" + row[0] if row[1] == "passage" else row[0], *row[1:]),
        ["passages has a usable vector", "'Xid-"],
    ),
    "another side": (
        lambda i, row: (row[0], "answer", row[2]),
        ["vectors.parquet row 0", "'answer'", "query, q, queries", "passage, p, passages, document, doc, docs"],
    ),
    "another side for passages": (
        lambda i, row: (row[0], "answer" if row[1] == "passage" else "q", row[2]),
        ["vectors.parquet row 40", "'answer'"],
    ),
    "two lengths": (
        lambda i, row: (*row[:2], row[2][: 16 if i % 2 else 15]),
        ["vectors.parquet: vectors of different lengths", "of 15 numbers", "of 16 numbers", "one encoder"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_vectors_that_are_not_the_triples_own_end_with_the_remedy(
    lake: VectorLake, tmp_path: Path, eci: Any, case: str
) -> None:
    change, said = REFUSED[case]
    triples, vectors = by_id(tmp_path, lake, change)
    done = eci(
        "run", "--triples", triples, "--vectors", vectors, "--out", "out", "--quiet", "--workers", 1, "--memory", "4GB"
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    for words in said:
        assert words in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_triples_with_texts_and_vectors_by_id_end_with_the_remedy(lake: VectorLake, tmp_path: Path, eci: Any) -> None:
    _, vectors = by_id(tmp_path, lake, lambda i, row: row)
    done = eci("run", "--triples", lake.triples, "--vectors", vectors, "--out", "out", "--quiet", "--memory", "4GB")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "the id 'id-0', the triples the text 'query " in done.stderr and "give --queries with the ids" in done.stderr


def test_single_vectors_of_another_length_or_side_reject_their_triples_alone(lake: VectorLake, tmp_path: Path) -> None:
    used = {text: sum(text in row for row in lake.rows) for text in [*lake.queries, *lake.passages]}
    texts = list(used)

    def change(i: int, row: Any) -> Any:
        return (*row[:2], row[2][:7]) if i == 0 else (row[0], "answer", row[2]) if i == 41 else row

    triples, vectors = by_id(tmp_path, lake, change)
    result = run_lake(tmp_path / "out", triples, vectors=str(vectors))
    lost = sum(texts[0] in row or texts[41] in row for row in lake.rows)
    assert used[texts[0]] and used[texts[41]]
    assert (result.totals["scored"], result.totals["rejected"]) == (300 - lost, lost)
