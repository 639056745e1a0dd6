"""Triples that hold ids, with texts beside them or only vectors; vectors that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

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
    bad = {"zero": np.zeros(16), "nan": np.full(16, np.nan), "short": np.ones(15), "inf": np.full(16, np.inf)}
    rows = [(lake.rows[0][0], lake.rows[0][1], f"{name} negative", "broken") for name in [*bad, "absent"]]
    write_triples(tmp_path / "triples.parquet", [*lake.rows, *rows])
    passages = lake.passages | {f"{name} negative": vector.astype(np.float32) for name, vector in bad.items()}
    write_vectors(tmp_path / "vectors.parquet", lake.queries, passages)
    given = {"vectors": str(tmp_path / "vectors.parquet"), "allow_rejects": True}
    result = run_lake(tmp_path / "out", tmp_path / "triples.parquet", **given)
    assert (result.totals["scored"], result.totals["rejected"]) == (300, 5)
    rejects = pq.read_table(tmp_path / "out" / "runs" / result.run_id / "rejects" / "part-000.parquet").to_pylist()
    assert {row["reason"] for row in rejects} == {"bad_vector"}
    assert [row["row"] for row in rejects] == list(range(300, 305))
    assert "broken" not in {row["source"] for row in result.ranking.to_pylist()}


@pytest.mark.parametrize("record", [
    {"query_id": "q1", "positive_id": "p1", "negative_id": "n1", "source": "a"},
    {"query": 1, "positive": 2, "negative": 3, "source": "a"},
])  # fmt: skip
def test_ids_that_no_file_has_a_text_for_end_at_once_with_the_remedy(tmp_path, eci, record):
    texts = {"query": "a question", "positive": "an answer", "negative": "another", "source": "a"}
    for name, rows in (("alone", [record]), ("mixed", [texts, record])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        done = eci("run", "--triples", f"{name}.jsonl", "--out", "out", "--quiet")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("eci: 2 passages and 1 queries are named by an id alone")
        assert "give --corpus and --queries" in done.stderr
        assert not (tmp_path / "out").exists()
