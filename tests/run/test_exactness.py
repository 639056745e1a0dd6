"""The same rows give the same bytes, however they are cut into files, buckets, threads and parts of the work."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline import encoder as settings
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, vector_lake, write_triples

TABLES = ("source_eci", "source_pairs", "source_probe", "probe_pairs", "probe_curve", "moments", "idf", "scores/")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    return vector_lake(tmp_path_factory.mktemp("lake"), 24, 3000, sources=4, queries=300)


@pytest.fixture(scope="module")
def reference(lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return score_tables(lake.triples, lake, tmp_path_factory.mktemp("reference"), workers=1, buckets=8)


def score_tables(triples: Path, lake: VectorLake, out: Path, **extra: Any) -> dict[str, Any]:
    result = run_lake(out, triples, vectors=str(lake.vectors), folds=8, **extra)
    assert result.probe is not None
    return {path: table for path, table in tables_of(out, result.run_id).items() if path.startswith(TABLES)}


def test_a_thousand_shuffled_files_equal_one(lake: VectorLake, reference: dict[str, Any], tmp_path: Path) -> None:
    rows = list(lake.rows)
    random.Random(3).shuffle(rows)
    for i in range(1000):
        write_triples(tmp_path / "many" / f"{random.Random(i).random()}.parquet", rows[i::1000])
    assert same_bytes(score_tables(tmp_path / "many", lake, tmp_path / "out"), reference) == []


@pytest.mark.parametrize("buckets", [1, 64, 256])
def test_the_number_of_buckets_does_not_matter(
    lake: VectorLake, reference: dict[str, Any], tmp_path: Path, buckets: int
) -> None:
    assert same_bytes(score_tables(lake.triples, lake, tmp_path / "out", buckets=buckets), reference) == []


def test_workers_and_threads_do_not_matter(lake: VectorLake, reference: dict[str, Any], tmp_path: Path) -> None:
    assert same_bytes(score_tables(lake.triples, lake, tmp_path / "out", workers=4), reference) == []


def test_parts_of_a_fold_add_up_to_the_same_moments(
    lake: VectorLake, reference: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LEAST_PART_TEXTS", 64)
    monkeypatch.setattr(settings, "PART_BYTES", 1)
    parts = score_tables(lake.triples, lake, tmp_path / "out", buckets=128)  # two buckets share an exchange file
    assert len([path for path in parts if path.startswith("scores/")]) > 3 * 8
    same = [path for path in parts if not path.startswith("scores/")]
    assert same_bytes({p: parts[p] for p in same}, {p: reference[p] for p in same}) == []
