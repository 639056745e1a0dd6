"""With an encoder, vectors come from the cache: nothing is embedded again, and another encoder runs beside the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.decide.ablation import ablate
from jobs.decide.selection import Choice, select
from jobs.errors import InputError
from jobs.finished.committed import Finished
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.lakes import vector_lake


@pytest.mark.slow
def test_ablations_and_diverse_choices_read_the_cache(tmp_path: Path) -> None:
    lake = vector_lake(tmp_path / "lake", 8, 300, sources=3)
    out = tmp_path / "out"
    run = run_lake(out, lake.triples, folds=4)
    own = {row["source"]: row["eci"] for row in run.ranking.to_pylist() if row["kind"] == "source"}
    rows = ablate(str(out), Silent(), only=["without", "encoder"], encoders=["minilm-l6-v2-int8"])
    for name in ("none", "encoder"):
        row = next(row for row in rows if row["ablation"] == name)
        assert {item["source"]: item["eci"] for item in row["sources"]} == own
    manifest = select(str(out), str(tmp_path / "to"), "bge", Choice(total=40, diverse=True, near_duplicates=False))
    assert manifest["triples"] == 40
    cache = out / "cache" / "embeddings" / str(Finished.open(str(out)).manifest["encoder"]["fingerprint"])
    for file in cache.rglob("*.parquet"):
        file.unlink()
    cache.rename(cache.with_name("gone"))
    with pytest.raises(InputError, match="run again to embed"):
        select(str(out), str(tmp_path / "again"), "bge", Choice(total=40, diverse=True))
