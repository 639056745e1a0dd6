"""Runs over Chinese, Japanese and Thai texts: their overlaps, and what is said where no query meets its positive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.decide.diff import diff
from jobs.output.runs import same_tokens
from jobs.output.sealed import unsealed
from tests.conftest import run_lake
from tests.lakes import VectorLake, write_triples, write_vectors
from tests.parity import literal
from tests.parity.test_run_equals_literal import RELATIVE, literal_rows

SYLLABLES = [
    "東京",
    "京都",
    "タワー",
    "の",
    "は",
    "高い",
    "古い",
    "ที่",
    "ดี",
    "ไทย",
    "信長",
    "野望",
    "、",
    "。",
    " ",
    " tea ",
    "abc",
    "ｶﾞｽ",
]


def lake_of(folder: Path, apart: bool) -> VectorLake:
    """Write 120 triples of two sources; `apart`: queries in another script than their passages."""
    rng = np.random.default_rng(11)

    def text(kind: str, i: int) -> str:
        if apart and kind == "q":
            return f"question number{i} about something"
        return f"{''.join(rng.choice(SYLLABLES, 12).tolist())}{i}"

    queries = {text("q", i): rng.standard_normal(8).astype(np.float32) for i in range(60)}
    passages = {text("p", 100 + i): rng.standard_normal(8).astype(np.float32) for i in range(180)}
    names = list(passages)
    rows = [(q, names[i], names[60 + i + 60 * k], f"s{k}") for i, q in enumerate(queries) for k in range(2)]
    lake = VectorLake(folder / "triples.parquet", folder / "vectors.parquet", rows, queries, passages)
    write_triples(lake.triples, rows)
    write_vectors(lake.vectors, queries, passages)
    return lake


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two runs, one whose queries are in the script of their passages and one whose are not."""
    found = {}
    for name in ("together", "apart"):
        folder = tmp_path_factory.mktemp(name)
        lake = lake_of(folder, name == "apart")
        result = run_lake(folder / "out", lake.triples, vectors=str(lake.vectors), folds=4)
        manifest = unsealed((folder / "out" / "runs" / result.run_id / "manifest.json").read_text())
        found[name] = (lake, result, manifest, folder / "out")
    return found


def test_a_run_equals_the_literal_score_over_bigrams(runs: dict[str, Any]) -> None:
    lake, result, manifest, out = runs["together"]
    rows = {row["source"]: row for row in result.ranking.to_pylist()}
    expected = literal_rows(lake, literal.Parameters(folds=4))
    assert set(expected) == {"s0", "s1"}
    for source, row in expected.items():
        assert row.lexical_overlap is not None and row.lexical_overlap > 0.1
        assert rows[source]["eci"] == pytest.approx(row.eci, rel=RELATIVE)
        assert rows[source]["lexical_overlap"] == pytest.approx(row.lexical_overlap, rel=RELATIVE)
    tokens = set(pq.read_table(out / "runs" / result.run_id / "idf.parquet")["token"].to_pylist())
    assert {"東京", "タワ", "ワー", "ガス", "abc"} <= tokens and not {"東京タワー", "タワー"} & tokens


def test_a_run_counts_the_queries_that_meet_no_token_of_their_positives(runs: dict[str, Any]) -> None:
    lake, _, manifest, _ = runs["together"]
    positives: dict[str, set[str]] = {}
    for query, positive, _, _ in lake.rows:
        positives.setdefault(query, set()).update(literal.word(positive))
    apart = sum(not literal.word(query) & tokens for query, tokens in positives.items())
    assert manifest["lexical"] == {
        "tokens": 2, "unspaced": 240, "queries": 60, "queries_apart": apart, "warning": None,
    }  # fmt: skip
    assert apart < 30


def test_a_run_whose_queries_are_apart_says_so_in_its_last_lines_and_its_manifest(
    runs: dict[str, Any], eci: Any
) -> None:
    _, _, manifest, out = runs["apart"]
    side = manifest["lexical"]
    assert (side["queries"], side["queries_apart"], side["unspaced"]) == (60, 60, 180)
    assert side["warning"].startswith(
        "60 of 60 queries (100%) have no word token in common with any of their positives"
    )
    assert side["warning"] in eci("rank", "--out", out).stdout
    assert side["warning"] in json.loads(eci("rank", "--out", out, "--json").stdout)["lexical"]["warning"]
    [page] = (out / "runs").glob("*/report.html")
    assert "60 of 60 queries (100%) have no word token in common" in page.read_text()
    assert "token in common" not in eci("rank", "--out", runs["together"][3]).stdout


def test_a_night_before_bigrams_is_not_compared_with_one_after(runs: dict[str, Any]) -> None:
    _, result, manifest, out = runs["together"]
    path = out / "runs" / result.run_id / "manifest.json"
    before = {key: value for key, value in manifest.items() if key != "lexical"}
    latin = manifest | {"lexical": manifest["lexical"] | {"unspaced": 2}}
    assert same_tokens(manifest, manifest) and same_tokens(before, before) and same_tokens(latin, before)
    assert not same_tokens(before, manifest) and not same_tokens(manifest, before)
    older = out / "runs" / result.run_id.replace(result.run_id[:4], "2020", 1)
    older.mkdir()
    for name in ("source_eci.parquet",):
        (older / name).write_bytes((path.parent / name).read_bytes())
    (older / "manifest.json").write_text(json.dumps(before | {"run_id": older.name}))
    found = diff(str(out), older.name, result.run_id)
    assert not found["comparable"] and found["differs"] == ["tokens of scripts without spaces"]
