"""Runs published to Iceberg tables of a catalog: each once, whoever else publishes, and as its readers open them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import jobs
from jobs.errors import InputError
from jobs.output.tables import SOURCE_ECI
from jobs.publishing.iceberg import IcebergTarget
from jobs.publishing.tables import Made
from tests.conftest import run_lake
from tests.lakes import VectorLake

pytest.importorskip("pyiceberg")


TABLES = {"source_eci": 4, "source_pairs": 6, "scores": 600}
PUBLISH = """
import sys, jobs
from jobs.publishing.publish import publish
publish(sys.argv[1], "iceberg:nightly/eci", sys.argv[2], scores=True)
"""


@pytest.fixture(scope="module")
def runs(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Two runs of one root."""
    out = tmp_path_factory.mktemp("runs") / "out"
    settings: dict[str, Any] = {"vectors": str(small_lake.vectors), "folds": 4, "buckets": 2, "no_probe": True}
    return out, [run_lake(out, small_lake.triples, kappa=kappa, **settings).run_id for kappa in (0.2, 0.3)]


def counted(catalog: Any) -> dict[str, dict[str, int]]:
    names = sorted(name for _, name in catalog.list_tables("eci"))
    scans = {name: catalog.load_table(f"eci.{name}").scan(selected_fields=("run_id",)).to_arrow() for name in names}
    return {name: dict(Counter(rows["run_id"].to_pylist())) for name, rows in scans.items()}


def whole(made: list[str]) -> dict[str, dict[str, int]]:
    empty: dict[str, dict[str, int]] = {"rejects": {}, "source_probe": {}}
    return empty | {name: dict.fromkeys(made, rows) for name, rows in TABLES.items()}


def test_a_run_is_published_once_and_readers_open_it_with_its_rows_and_comments(runs: Any, catalog: Any) -> None:
    out, made = runs
    first = jobs.publish(str(out), "iceberg:nightly/eci", made[0], scores=True)
    assert first.appended == TABLES | {"rejects": 0, "source_probe": 0}
    assert not any(jobs.publish(str(out), "iceberg:nightly/eci", made[0], scores=True).appended.values())
    assert counted(catalog) == whole(made[:1])
    table = catalog.load_table("eci.source_eci")
    assert {field.name: field.doc for field in table.schema().fields} == {c.name: c.comment for c in SOURCE_ECI.columns}
    assert [field.name for field in catalog.load_table("eci.scores").spec().fields] == ["run_day"]
    wanted = pl.read_parquet(out / "runs" / made[0] / "scores" / "*.parquet").sort("triple_id")
    scores = catalog.load_table("eci.scores")
    for read in (pl.from_arrow(scores.scan().to_arrow()), pl.scan_iceberg(scores).collect()):
        assert isinstance(read, pl.DataFrame)
        assert read.select(wanted.columns).sort("triple_id").equals(wanted, null_equal=True)
    by_duckdb = (
        scores.scan().to_duckdb("scores").sql("SELECT count(*), count(DISTINCT triple_id) FROM scores").fetchall()
    )
    assert by_duckdb == [(600, 600)]


def test_jobs_that_publish_at_once_lose_and_double_nothing(runs: Any, catalog: Any) -> None:
    """Two runs, each by two processes, into tables that are not there yet."""
    out, made = runs
    together = [
        subprocess.Popen([sys.executable, "-c", PUBLISH, str(out), run_id], stderr=subprocess.PIPE, text=True)
        for run_id in made * 2
    ]
    ended = [process.communicate(timeout=200)[1] for process in together]
    assert [process.returncode for process in together] == [0] * 4, ended
    assert counted(catalog) == whole(sorted(made))


def test_a_table_that_somebody_has_altered_is_left_alone_and_an_older_one_gets_the_new_columns(
    runs: Any, catalog: Any
) -> None:
    out, made = runs
    catalog.create_namespace("eci")
    wrong = [f.with_type(pa.string()) if f.name == "eci" else f for f in SOURCE_ECI.schema]
    catalog.create_table("eci.source_eci", pa.schema([*wrong, pa.field("note", pa.string())]))
    with pytest.raises(
        InputError, match=r"column 'eci' is string there, and double in a run \(and 1 more\)"
    ) as refused:
        jobs.publish(str(out), "iceberg:nightly/eci", made[0])
    assert "\n" not in str(refused.value)
    catalog.drop_table("eci.source_eci")
    catalog.create_table("eci.source_eci", pa.schema(list(SOURCE_ECI.schema)[:-2]))
    jobs.publish(str(out), "iceberg:nightly/eci", made[0])
    assert catalog.load_table("eci.source_eci").scan().to_arrow().column_names == SOURCE_ECI.schema.names


def test_runs_go_from_the_tables(runs: Any, catalog: Any) -> None:
    out, made = runs
    for run_id in made:
        jobs.publish(str(out), "iceberg:nightly/eci", run_id, scores=True)
    for name in ("source_eci", "scores"):
        target = IcebergTarget("nightly/eci", name, Made(pa.schema([]), {}, "", ""))
        assert target.expire(made[:1], dry_run=True) and target.expire(made[:1], dry_run=False)
        assert not target.expire(made[:1], dry_run=False)
        assert counted(catalog)[name] == {made[1]: TABLES[name]}


def test_a_catalog_that_is_none_is_said_in_one_line(runs: Any) -> None:
    with pytest.raises(
        InputError, match="cannot open the catalog 'nowhere' .*PYICEBERG_CATALOG__NOWHERE__URI"
    ) as refused:
        jobs.publish(str(runs[0]), "iceberg:nowhere/eci")
    assert "\n" not in str(refused.value)


def test_a_full_disk_is_said_and_the_next_publish_completes_what_it_left(
    runs: Any, catalog: Any, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    out, made = runs
    disk = tmp_path / "warehouse"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here (needs root)")
    try:
        command = ["publish", "--run", made[0], "--to", "iceberg:nightly/eci", "--scores", "--out", out]
        full = eci(*command)
        assert full.returncode == 1 and full.stderr.count("\n") == 1, full.stderr
        assert full.stderr.startswith("eci: iceberg:nightly/eci.") and "the disk is full" in full.stderr, full.stderr
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        done = eci(*command)
        assert done.returncode == 0, done.stderr
        assert {name: counted(catalog)[name] for name in TABLES} == {n: {made[0]: r} for n, r in TABLES.items()}
    finally:
        subprocess.run(["umount", disk], check=False)
