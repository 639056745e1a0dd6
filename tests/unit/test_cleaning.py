"""`eci gc`: takes what the rules name, and never what a run or a reader may need."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.decide.ablation import ablate
from jobs.errors import InputError
from jobs.finished.result import RunResult
from jobs.output.cleaning import Rules, clean
from jobs.output.lock import holding
from jobs.output.query import query
from jobs.output.runs import committed, latest
from jobs.output.sealed import sealed
from jobs.output.store import Store
from jobs.output.tables import ABLATIONS
from jobs.terminal.progress import Silent
from tests.conftest import run_lake

DAY = 86_400
OLD, NEW = "20260101T010000Z-0a1b2c", "20260102T010000Z-0a1b2c"
CACHED = "0123456789abcdef0123456789abcdef.parquet"


def put(path: Path, size: int = 10, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def manifest(out: Path, run_id: str, encoder: dict[str, str]) -> None:
    """Write the manifest of a run without files."""
    nothing: dict[str, Any] = {"settings": {}, "inputs": [], "files": [], "totals": {}, "stages": {}}
    found = nothing | {"run_id": run_id, "created_at": "2026-01-01T00:00:00+00:00", "encoder": encoder}
    (out / f"runs/{run_id}/manifest.json").write_text(json.dumps(sealed(found)))


def kinds(out: Path, rules: Rules) -> list[str]:
    (out / ".eci-root").touch()
    return sorted(item.kind for item in clean(str(out), rules).removed)


def test_unfinished_work_goes_and_the_lock_stays(tmp_path: Path) -> None:
    put(tmp_path / "work/0123456789abcdef/texts/part.arrow")
    put(tmp_path / "work/LOCK")
    assert kinds(tmp_path, Rules()) == ["work"]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["LOCK"]


def test_a_dry_run_says_the_same_and_removes_nothing(tmp_path: Path) -> None:
    work = put(tmp_path / "work/0123456789abcdef/part.arrow", size=123)
    cached = put(tmp_path / f"cache/embeddings/e-1/bucket=000/{CACHED}", age=9 * DAY)
    rules = Rules(cache_days=5)
    (tmp_path / ".eci-root").touch()
    said = clean(str(tmp_path), Rules(cache_days=5, dry_run=True)).removed
    assert work.exists()
    assert cached.exists()
    assert not (tmp_path / "work/LOCK").exists()
    assert {item.path: item.size for item in said} == {
        "work/0123456789abcdef": 123,
        f"cache/embeddings/e-1/bucket=000/{CACHED}": 10,
    }
    assert clean(str(tmp_path), rules).removed == said
    assert not work.exists()
    assert not cached.exists()


def test_work_and_cache_of_a_live_run_are_left_alone(tmp_path: Path) -> None:
    work = put(tmp_path / "work/0123456789abcdef/part.arrow")
    cached = put(tmp_path / f"cache/embeddings/e-1/bucket=000/{CACHED}", age=9 * DAY)
    (tmp_path / ".eci-root").touch()
    with holding(Store(str(tmp_path))):
        cleaned = clean(str(tmp_path), Rules(cache_days=1))
    assert cleaned.removed == ()
    assert "held by another run" in cleaned.left
    assert work.exists()
    assert cached.exists()


def test_only_stray_attempts_go(tmp_path: Path) -> None:
    old = put(tmp_path / "cache/embeddings/e-1/bucket=000/.attempt-0123456789ab-a.parquet", age=2 * 3600)
    new = put(tmp_path / f"runs/{OLD}/.attempt-456789abcdef-b.parquet", age=60)
    (tmp_path / f"runs/{OLD}/manifest.json").write_text("{}")
    (tmp_path / "LATEST").write_text(OLD)
    assert kinds(tmp_path, Rules()) == ["attempt"]
    assert not old.exists()
    assert new.exists()


def test_the_cache_shrinks_to_its_size_oldest_first(tmp_path: Path) -> None:
    folder = tmp_path / "cache/embeddings/e-1"
    for number in range(5):
        put(folder / f"bucket=00{number}/{CACHED}", size=100, age=(5 - number) * DAY)
    (tmp_path / ".eci-root").touch()
    clean(str(tmp_path), Rules(cache_size=250))
    assert [path.parent.name for path in sorted(folder.rglob("*.parquet"))] == ["bucket=003", "bucket=004"]
    assert clean(str(tmp_path), Rules(cache_size=250)).removed == ()


def test_caches_of_encoders_that_no_run_names_go(tmp_path: Path) -> None:
    (tmp_path / f"runs/{NEW}").mkdir(parents=True)
    manifest(tmp_path, NEW, {"fingerprint": "used-1"})
    (tmp_path / "LATEST").write_text(NEW)
    for name in ("used-1", "unused-2"):
        put(tmp_path / f"cache/embeddings/{name}/bucket=000/{CACHED}")
    assert kinds(tmp_path, Rules(unused_encoders=True)) == ["cache of unused encoder"]
    assert [path.name for path in (tmp_path / "cache/embeddings").iterdir()] == ["used-1"]


def ablations(path: Path, encoder: str) -> None:
    rows = [{"run_id": path.stem, "ablation": "encoder", "value": encoder}]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, ABLATIONS.schema), path)


def test_ablations_go_with_their_run_and_their_encoders_when_no_table_names_them(tmp_path: Path) -> None:
    (tmp_path / f"runs/{NEW}").mkdir(parents=True)
    manifest(tmp_path, NEW, {"fingerprint": "own-1"})
    (tmp_path / "LATEST").write_text(NEW)
    ablations(tmp_path / f"ablations/{OLD}.parquet", "small")
    ablations(tmp_path / f"ablations/{NEW}.parquet", "large")
    for name in ("small", "large"):
        put(tmp_path / f"ablations/encoders/{name}-9/runs/{OLD}/manifest.json")
        manifest(tmp_path / f"ablations/encoders/{name}-9", OLD, {"name": name})
        (tmp_path / f"ablations/encoders/{name}-9/.eci-root").touch()
    assert kinds(tmp_path, Rules(unused_encoders=True, dry_run=True)) == ["ablation's encoder", "ablations"]
    assert kinds(tmp_path, Rules()) == ["ablations"]
    assert kinds(tmp_path, Rules(unused_encoders=True)) == ["ablation's encoder"]
    left = sorted(str(path.relative_to(tmp_path / "ablations")) for path in (tmp_path / "ablations").glob("*/*"))
    assert left == ["encoders/large-9"]
    assert [path.name for path in (tmp_path / "ablations").glob("*.parquet")] == [f"{NEW}.parquet"]


def small_run(folder: Path, kappa: float) -> RunResult:
    import polars as pl

    rng = np.random.default_rng(0)
    rows = [(f"q{i % 12}", f"p{i % 12}", f"n{i}", ("a", "b")[i % 2]) for i in range(48)]
    pl.DataFrame(rows, schema=["query", "positive", "negative", "source"], orient="row").write_parquet(
        folder / "triples.parquet"
    )
    texts = sorted(
        {(side, text) for row in rows for side, text in zip(("query", "passage", "passage"), row[:3], strict=True)}
    )
    frame = pl.DataFrame(
        {
            "side": [s for s, _ in texts],
            "text": [t for _, t in texts],
            "vector": rng.standard_normal((len(texts), 4)).tolist(),
        }
    )
    frame.with_columns(pl.col("vector").cast(pl.List(pl.Float32))).write_parquet(folder / "vectors.parquet")
    return run_lake(
        folder / "out",
        folder / "triples.parquet",
        vectors=str(folder / "vectors.parquet"),
        kappa=kappa,
        folds=2,
        workers=1,
    )


@pytest.mark.slow
def test_old_runs_go_and_readers_see_the_others(tmp_path: Path) -> None:
    runs = [small_run(tmp_path, kappa).run_id for kappa in (0.1, 0.2)]
    out = tmp_path / "out"
    for run_id in runs:
        ablate(str(out), Silent(), run_id, only=["sample"])
    removed = clean(str(out), Rules(keep_runs=1)).removed
    assert [item.path for item in removed if item.kind == "ablations"] == [f"ablations/{runs[0]}.parquet"]
    assert [item.path for item in removed if item.kind == "run"] == [f"runs/{run_id}" for run_id in runs[:1]]
    store = Store(str(out))
    assert committed(store) == [latest(store)] == runs[1:]
    for view in ("source_eci", "source_eci_history", "ablations"):
        found = query(store, f"SELECT DISTINCT run_id FROM {view}").read_all().to_pylist()
        assert found == [{"run_id": runs[1]}], view
    assert clean(str(out), Rules(keep_runs=1)).removed == ()


def test_what_an_interrupted_removal_left_goes(tmp_path: Path) -> None:
    put(tmp_path / f"runs/{OLD}/scores/part.parquet")
    assert kinds(tmp_path, Rules()) == ["run"]
    assert not (tmp_path / f"runs/{OLD}").exists()


def test_wrong_rules_and_roots_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--keep-runs is 0, allowed is 1 or more"):
        clean(str(tmp_path), Rules(keep_runs=0))
    with pytest.raises(InputError, match="no output root here"):
        clean(str(tmp_path / "nowhere"), Rules())
