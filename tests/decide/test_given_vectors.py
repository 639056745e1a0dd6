"""Runs over --vectors that are named by ids of --corpus and --queries: what reads the vectors again finds the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.decide.ablation import ablate
from jobs.decide.selection import Choice, select
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.finished.vectors import spool_vectors
from jobs.ids import id_array, text_id
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.lakes import VectorLake, vector_lake


@dataclass(frozen=True)
class Named:
    """A lake whose triples and vectors hold ids, the folder of its files, and the output root of the run over it."""

    lake: VectorLake
    folder: Path
    out: Path


def lines(path: Path, records: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Named:
    """Passages have two ids each (triples go by one, vectors by the other), and an id that stands twice means its first text."""
    folder = tmp_path_factory.mktemp("named")
    lake = vector_lake(folder / "lake", 16, 600, sources=3)
    ids = {text: f"id-{i}" for i, text in enumerate([*lake.queries, *lake.passages])}
    triples = [
        {"query_id": ids[q], "positive_id": ids[p], "negative_id": ids[n], "source": s} for q, p, n, s in lake.rows
    ]
    passages = [{"_id": prefix + ids[t], "text": t} for prefix in ("", "a-") for t in lake.passages]
    first, other = list(lake.passages)[:2]
    # the last record names the first passage by an id that the corpus has given to another text before
    passages = [{"_id": "twice", "text": "no triple holds this"}, *passages, {"_id": "twice", "text": first}]
    queries = [{"_id": ids[t], "text": t} for t in lake.queries]
    rows = [(ids[t], "query", v) for t, v in lake.queries.items()]
    rows += [("twice", "passage", lake.passages[other])]
    rows += [("a-" + ids[t], "passage", v) for t, v in lake.passages.items()]
    columns = {
        "id": [row[0] for row in rows],
        "side": [row[1] for row in rows],
        "vector": pa.array([row[2].tolist() for row in rows], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), folder / "vectors.parquet")
    run_lake(
        folder / "out",
        lines(folder / "triples.jsonl", triples),
        vectors=str(folder / "vectors.parquet"),
        corpus=lines(folder / "corpus.jsonl", passages),
        queries=lines(folder / "queries.jsonl", queries),
        folds=4,
    )
    return Named(lake, folder, folder / "out")


def test_the_spool_holds_each_text_s_own_vector(named: Named, tmp_path: Path) -> None:
    spool = spool_vectors(Finished.open(str(named.out)), str(tmp_path))
    for side, texts in (("query", named.lake.queries), ("passage", named.lake.passages)):
        found = spool.take(id_array(text_id(side, text) for text in texts))  # type: ignore[arg-type]
        want = np.stack(list(texts.values()))
        np.testing.assert_allclose(found, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-6)


def test_ablations_start_from_the_run_s_own_values(named: Named) -> None:
    own = {r["source"]: r["eci"] for r in Finished.open(str(named.out)).rows if r["kind"] == "source"}
    rows = ablate(str(named.out), Silent(), only=["temperature"])
    unperturbed = next(row for row in rows if row["ablation"] == "none")
    assert {item["source"]: item["eci"] for item in unperturbed["sources"]} == own
    assert len(rows) == 5


def test_a_diverse_training_set_is_chosen_and_holds_the_texts(named: Named, tmp_path: Path) -> None:
    select(str(named.out), str(tmp_path / "to"), "triples", Choice(total=40, diverse=True, near_duplicates=False))
    rows = [row for path in sorted((tmp_path / "to/data").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 40
    assert {(r["query"], r["positive"], r["negative"], r["source"]) for r in rows} <= set(named.lake.rows)


def test_a_corpus_that_has_changed_since_is_named_and_one_that_was_only_written_anew_is_not(
    named: Named, tmp_path: Path
) -> None:
    corpus = named.folder / "corpus.jsonl"
    before = corpus.read_bytes()
    corpus.write_bytes(before)
    assert corpus.stat().st_size == len(before)
    select(str(named.out), str(tmp_path / "anew"), "triples", Choice(total=40, diverse=True))
    try:
        corpus.write_bytes(before.replace(b"no triple", b"no tr1ple"))
        assert corpus.stat().st_size == len(before)
        with pytest.raises(InputError, match="corpus.jsonl: not the file that run"):
            select(str(named.out), str(tmp_path / "to"), "triples", Choice(total=40, diverse=True))
    finally:
        corpus.write_bytes(before)
