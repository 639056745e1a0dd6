"""A whole run, with worker processes, equals the literal score over the same vectors."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, vector_lake
from tests.parity import literal

RELATIVE = 1e-5


def literal_rows(
    lake: VectorLake, parameters: literal.Parameters, judgements: dict[tuple[bytes, bytes], float] | None = None
) -> dict[str, literal.SourceRow]:
    """The literal score of a lake; every text's vector scaled to unit length in float32, as it is stored.

    `judgements`: (query, negative) -> 1 or -1, by text id.
    """
    vectors: dict[bytes, Any] = {}
    tokens: dict[bytes, set[str]] = {}
    for side, texts in (("q", lake.queries), ("p", lake.passages)):
        for text, vector in texts.items():
            key = literal.text_id(side, text)
            norm = float(np.sqrt((vector.astype(np.float64) ** 2).sum()))
            vectors[key] = (vector.astype(np.float64) / norm).astype(np.float32).tolist()
            tokens[key] = literal.word(text)
    used = {literal.text_id("p", text) for row in lake.rows for text in row[1:3]}
    weights = literal.idf(tokens[key] for key in used)
    triples = [
        literal.Triple(literal.text_id("q", q), literal.text_id("p", p), literal.text_id("p", n), s)
        for q, p, n, s in lake.rows
    ]
    unseen = literal.idf_of(0, len(used))
    return literal.score_sources(
        literal.score_examples(triples, vectors, tokens, weights, unseen, parameters, judgements), parameters
    )


@pytest.mark.slow
@pytest.mark.parametrize("dim", [96, 384])
def test_every_column_equals_the_literal_score_and_workers_do_not_matter(tmp_path: Path, dim: int) -> None:
    lake = vector_lake(tmp_path / "lake", dim, 20_000)
    one = run_lake(tmp_path / "one", lake.triples, vectors=str(lake.vectors), workers=1)
    two = run_lake(tmp_path / "two", lake.triples, vectors=str(lake.vectors), workers=2)
    assert one.totals["scored"] == 20_000
    assert not same_bytes(tables_of(tmp_path / "one", one.run_id), tables_of(tmp_path / "two", two.run_id))
    expected = literal_rows(lake, literal.Parameters())
    rows = {row["source"]: row for row in two.ranking.to_pylist() if row["kind"] == "source"}
    assert set(rows) == set(expected)
    for source, row in expected.items():
        for field in fields(row):
            if field.name != "leave_out":
                want = getattr(row, field.name)
                assert rows[source][field.name] == pytest.approx(want, rel=RELATIVE), f"{source} {field.name}"


def test_every_triple_equals_the_literal_score(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 24, 600)
    result = run_lake(tmp_path / "out", lake.triples, vectors=str(lake.vectors), temperature=0.1, kappa=0.3)
    files = sorted((tmp_path / "out" / "runs" / result.run_id / "scores").rglob("*.parquet"))
    scored = {row["triple_id"]: row for file in files for row in pq.read_table(file).to_pylist()}
    assert len(scored) == 600
    folds = {row["fold"] for row in scored.values()}
    assert len(folds) > 5
    parameters = literal.Parameters(temperature=0.1, kappa=0.3)
    expected = literal_rows(lake, parameters)
    rows = {row["source"]: row for row in result.ranking.to_pylist()}
    for source, row in expected.items():
        assert rows[source]["eci"] == pytest.approx(row.eci, rel=RELATIVE)
        assert rows[source]["eci_se"] == pytest.approx(row.eci_se, rel=1e-4)
        own = [s for s in scored.values() if s["source"] == source]
        assert np.mean([s["s_neg"] for s in own]) == pytest.approx(row.hardness, rel=1e-6)
        assert all(s["fold"] == literal.fold_of(bytes.fromhex(s["query_id"]), 32) for s in own)
