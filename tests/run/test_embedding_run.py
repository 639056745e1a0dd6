"""Runs with the real default encoder: the cache, real text in two sources, and what float16 changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.demo.documentation import collect_pairs
from onnx_models.cards import DEFAULT_ENCODER, load_card
from onnx_models.running.session import open_encoder
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import write_triples, write_vectors


@pytest.fixture(scope="module")
def triples() -> list[tuple[str, str, str, str]]:
    pairs = collect_pairs(60)
    cut = [(p.query, " ".join(p.positive.split()[:40])) for p in pairs]
    return [(q, p, cut[(i + step) % len(cut)][1], f"step {step}") for i, (q, p) in enumerate(cut) for step in (1, 7)]


def test_a_second_run_embeds_only_what_is_new(triples: list[tuple[str, str, str, str]], tmp_path: Path) -> None:
    write_triples(tmp_path / "a.parquet", triples)
    first = run_lake(tmp_path / "out", tmp_path / "a.parquet")
    assert first.totals["texts_embedded"] == first.totals["texts"] > 100
    again = run_lake(tmp_path / "out", tmp_path / "a.parquet")
    assert again.unchanged and again.run_id == first.run_id and again.totals["texts_embedded"] == 0
    write_triples(tmp_path / "b.parquet", [(*triples[0][:2], "a negative that nobody has seen", "new")])
    second = run_lake(
        tmp_path / "out", None, inputs=[{"triples": [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]}]
    )
    assert (second.totals["texts_embedded"], second.totals["texts"]) == (1, first.totals["texts"] + 1)
    fresh = run_lake(
        tmp_path / "fresh", None, inputs=[{"triples": [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]}]
    )
    assert same_bytes(tables_of(tmp_path / "out", second.run_id), tables_of(tmp_path / "fresh", fresh.run_id)) == []


def test_float16_vectors_change_the_score_by_less_than_a_thousandth(
    triples: list[tuple[str, str, str, str]], tmp_path: Path
) -> None:
    write_triples(tmp_path / "a.parquet", triples)
    encoder = open_encoder(load_card(DEFAULT_ENCODER), 1)
    queries = sorted({q for q, _, _, _ in triples})
    passages = sorted({text for row in triples for text in row[1:3]})
    vectors = [dict(zip(texts, encoder.encode(texts, side), strict=True))
               for texts, side in ((queries, "query"), (passages, "passage"))]  # fmt: skip
    write_vectors(tmp_path / "vectors.parquet", *vectors)
    half = {row["source"]: row for row in run_lake(tmp_path / "half", tmp_path / "a.parquet").ranking.to_pylist()}
    full = run_lake(tmp_path / "full", tmp_path / "a.parquet", vectors=str(tmp_path / "vectors.parquet"))
    for row in full.ranking.to_pylist():
        assert half[row["source"]]["eci"] == pytest.approx(row["eci"], rel=1e-3)
        assert half[row["source"]]["rank"] == row["rank"]


@pytest.mark.slow
def test_two_real_sources_are_ranked_with_intervals(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "msmarco1k_llmneg"
    inputs = [{"triples": str(folder / "hard-negatives.jsonl"), "format": "sbert-hard-negatives"}]
    result = run_lake(tmp_path / "out", None, inputs=inputs, corpus=str(folder / "corpus.jsonl.gz"),
                      queries=str(folder / "queries.jsonl"))  # fmt: skip
    rows = [row for row in result.ranking.to_pylist() if row["kind"] == "source"]
    assert len(rows) == 2
    expected = 0
    for line in (folder / "hard-negatives.jsonl").read_bytes().split(b"\n"):
        if line.strip():
            record = json.loads(line)
            expected += len(record["pos"]) * sum(len(ids) for ids in record["neg"].values())
    totals = result.totals
    assert totals["rows_in"] == expected == totals["scored"] + totals["rejected"] + totals["duplicates"]
    for row in rows:
        assert row["eci_lo"] < row["eci"] < row["eci_hi"]
        assert row["n_queries"] > 900
