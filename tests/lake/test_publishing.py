"""Runs published to tables over all runs: each once, whole, whatever is killed, and as every reader of a lake opens them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import jobs
from jobs.errors import EciError, InputError
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.output.tables import SCORES, SOURCE_ECI
from jobs.publishing.tables import batches_of
from tests.conftest import run_lake, tables_of
from tests.lake.figures import figure
from tests.lakes import VectorLake

pytest.importorskip("deltalake")

from deltalake import DeltaTable, Field, Schema, write_deltalake

TABLES = {"source_eci": 4, "source_pairs": 6, "scores": 600, "rejects": 2}
"""Rows of each run of `runs`."""
ROUNDS = 50 if os.environ.get("ECI_LAKE") else 4
WARM = """
import sys, jobs, deltalake
from jobs.publishing.publish import publish
print("ready", flush=True)
for line in sys.stdin:
    out, to, run_id = line.split()
    publish(out, to, run_id, scores=True)
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def runs(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three runs of one root."""
    folder = tmp_path_factory.mktemp("runs")
    bad = pl.DataFrame(
        {"query": ["q", "q"], "positive": ["p", "p"], "negative": ["", None], "source": ["source 0"] * 2}
    )
    bad.write_parquet(folder / "bad.parquet")
    inputs = [{"triples": [str(small_lake.triples), str(folder / "bad.parquet")]}]
    settings: dict[str, Any] = {"vectors": str(small_lake.vectors), "folds": 4, "buckets": 2, "no_probe": True}
    made = [run_lake(folder / "out", "", inputs=inputs, kappa=kappa, **settings).run_id for kappa in (0.2, 0.3, 0.4)]
    return folder / "out", made


def counted(to: Path) -> dict[str, dict[str, int]]:
    """Return the rows of each run in each table."""
    found = {}
    for path in sorted(to.iterdir()):
        if not list((path / "_delta_log").glob("*.json")):
            continue  # not made yet when its maker was killed
        rows = pl.scan_delta(str(path)).select("run_id").collect()["run_id"].to_list()
        found[path.name] = dict(Counter(rows))
    return found


def whole(of: list[str]) -> dict[str, dict[str, int]]:
    return {name: dict.fromkeys(sorted(of), rows) for name, rows in sorted(TABLES.items())} | {"source_probe": {}}


def test_a_run_is_published_once_however_often_it_is_asked_for(runs: Any, tmp_path: Path) -> None:
    out, made = runs
    to = f"delta:{tmp_path / 'lake'}"
    first = jobs.publish(str(out), to, made[0], scores=True)
    assert first.appended == TABLES | {"source_probe": 0}
    again = jobs.publish(str(out), to, made[0], scores=True)
    assert not any(again.appended.values())
    jobs.publish(str(out), to, made[1], scores=True)
    assert counted(tmp_path / "lake") == whole(made[:2])
    # one commit makes a table, and one brings each run
    assert DeltaTable(tmp_path / "lake" / "scores").version() == 2


def test_a_run_is_not_doubled_where_a_table_has_forgotten_its_transactions(runs: Any, tmp_path: Path) -> None:
    out, made = runs
    jobs.publish(str(out), f"delta:{tmp_path / 'lake'}", made[0])
    first, second = tmp_path / "lake" / "source_eci", tmp_path / "other" / "source_eci"
    write_deltalake(second, pa.table(DeltaTable(first).scan()))
    assert DeltaTable(second).transaction_version(f"eci:{made[0]}") is None
    assert jobs.publish(str(out), f"delta:{tmp_path / 'other'}", made[0]).appended["source_eci"] == 0
    assert counted(tmp_path / "other")["source_eci"] == {made[0]: TABLES["source_eci"]}


def test_readers_open_the_tables_with_the_rows_types_and_comments_of_the_run(runs: Any, tmp_path: Path) -> None:
    import duckdb

    out, made = runs
    jobs.publish(str(out), f"delta:{tmp_path / 'lake'}", made[0], scores=True)
    for name, files in (
        ("source_eci", "source_eci.parquet"),
        ("scores", "scores/*.parquet"),
        ("rejects", "rejects/*.parquet"),
    ):
        wanted = pl.read_parquet(out / "runs" / made[0] / files)
        order = [column for column in wanted.columns if wanted[column].dtype != pl.List]
        table = DeltaTable(tmp_path / "lake" / name)
        by_deltalake = pl.from_arrow(pa.table(table.scan()))
        by_polars = pl.scan_delta(str(tmp_path / "lake" / name)).collect()
        scanned = pa.table(table.scan())
        by_duckdb = pl.from_arrow(duckdb.sql("SELECT * FROM scanned").to_arrow_table())
        by_dataset = pl.from_arrow(table.to_pyarrow_table())
        for read in (by_deltalake, by_polars, by_duckdb, by_dataset):
            assert isinstance(read, pl.DataFrame) and len(scanned)
            days = {str(day) for day in read["run_day"]} if "run_day" in read.columns else set()
            day = f"{made[0][:4]}-{made[0][4:6]}-{made[0][6:8]}"
            assert days == ({day} if name in ("scores", "rejects") else set())
            kept = read.select(wanted.columns).cast(dict(zip(wanted.columns, wanted.dtypes, strict=True)))  # type: ignore[arg-type]
            assert kept.sort(order).equals(wanted.sort(order), null_equal=True)
    comments = {
        field.name: field.metadata["comment"] for field in DeltaTable(tmp_path / "lake" / "source_eci").schema().fields
    }
    assert comments == {column.name: column.comment for column in SOURCE_ECI.columns}


def test_dask_opens_the_tables(runs: Any, tmp_path: Path) -> None:
    dd = pytest.importorskip("dask.dataframe")
    out, made = runs
    jobs.publish(str(out), f"delta:{tmp_path / 'lake'}", made[0], scores=True)
    files = DeltaTable(tmp_path / "lake" / "scores").file_uris()
    assert len(dd.read_parquet(files).compute()) == TABLES["scores"]


def test_jobs_that_publish_at_once_lose_and_double_nothing(runs: Any, tmp_path: Path) -> None:
    """Three runs, each by two processes, into tables that are not there yet."""
    out, made = runs
    to = f"delta:{tmp_path / 'lake'}"
    together = [_warm() for _ in range(6)]
    for process, run_id in zip(together, made * 2, strict=True):
        _tell(process, f"{out} {to} {run_id}")
    ended = [process.communicate(timeout=120) for process in together]
    assert [process.returncode for process in together] == [0] * 6, ended
    assert counted(tmp_path / "lake") == whole(made)


def test_a_publish_that_is_killed_at_any_moment_is_made_whole_by_the_next(runs: Any, tmp_path: Path) -> None:
    out, made = runs
    rng, seconds = random.Random(7), 1.0
    hit = 0
    for number in range(ROUNDS):
        to = tmp_path / f"lake{number}"
        process = _warm()
        _tell(process, f"{out} delta:{to} {made[0]}")
        began = time.monotonic()
        if number:
            time.sleep(rng.uniform(0, seconds))
            process.kill()
            process.communicate()
        else:  # how long one takes here
            assert process.stdout is not None and process.stdout.readline() == "done\n"
            seconds = time.monotonic() - began
            process.communicate()
        before = counted(to) if to.exists() else {}
        hit += 0 < len(before) < len(TABLES) + 1
        assert all(rows in ({}, {made[0]: TABLES.get(name, 0)}) for name, rows in before.items()), "half a run"
        jobs.publish(str(out), f"delta:{to}", made[0], scores=True)
        assert counted(to) == whole(made[:1])
    figure(f"publish: {ROUNDS - 1} kills at random moments, {hit} between two tables; none lost, none doubled")


@pytest.mark.parametrize("kilobytes", [8, 48, 96])
def test_a_full_disk_is_said_and_the_next_publish_completes_what_it_left(
    runs: Any, tmp_path: Path, eci: Callable[..., Any], kilobytes: int
) -> None:
    """Full in the first table, or between two of them."""
    out, made = runs
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here (needs root)")
    try:
        command = ["publish", "--run", made[0], "--to", "delta:disk/lake", "--scores", "--out", out]
        full = eci(*command)
        assert full.returncode == 1 and full.stderr.count("\n") == 1 and "Traceback" not in full.stderr
        assert full.stderr.startswith(f"eci: {disk}/lake/") and "the disk is full" in full.stderr, full.stderr
        before = counted(disk / "lake") if (disk / "lake").exists() else {}
        assert all(rows in ({}, {made[0]: TABLES.get(name, 0)}) for name, rows in before.items()), "half a run"
        assert made[0] in [run["run_id"] for run in json.loads(eci("runs", "--json", "--out", out).stdout)]
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert eci(*command).returncode == 0
        assert counted(disk / "lake") == whole(made[:1])
    finally:
        subprocess.run(["umount", disk], check=False)


def _warm() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WARM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _altered(to: Path, how: Callable[[list[Field]], list[Field]], **more: Any) -> None:
    fields = [Field(f.name, f.type, True) for f in Schema.from_arrow(SOURCE_ECI.schema).fields]
    DeltaTable.create(to / "source_eci", Schema(how(fields)), **more)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            lambda to: _altered(to, lambda f: [*f, Field("note", "string", True)]),
            "column 'note' is none that a run has",
        ),
        (
            lambda to: _altered(to, lambda f: [Field(x.name, "string", True) if x.name == "eci" else x for x in f]),
            "column 'eci' is string there, and double in a run",
        ),
        (lambda to: _altered(to, lambda f: f, partition_by=["kind"]), "it is not partitioned by nothing"),
        (lambda to: _foreign(to / "source_eci"), r"no Delta table, and holds other things \(mine.txt\)"),
    ],
)
def test_a_table_that_somebody_has_altered_is_left_alone(runs: Any, tmp_path: Path, how: Any, said: str) -> None:
    out, made = runs
    how(tmp_path)
    with pytest.raises(InputError, match=said) as refused:
        jobs.publish(str(out), f"delta:{tmp_path}", made[0])
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "source_eci").glob("*.parquet"))


def _foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "mine.txt").write_text("")


def test_a_table_of_an_older_version_gets_the_columns_that_came_since(runs: Any, tmp_path: Path) -> None:
    out, made = runs
    _altered(tmp_path, lambda fields: fields[:-3])
    jobs.publish(str(out), f"delta:{tmp_path}", made[0])
    assert pl.read_delta(str(tmp_path / "source_eci")).columns == SOURCE_ECI.schema.names


def test_a_run_that_cannot_be_published_is_committed_and_says_how_to_try_again(
    small_lake: VectorLake, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    (tmp_path / "file").write_text("")
    command = small_lake.command("--no-probe", "--publish", "delta:file/lake", "--publish-scores")
    failed = eci(*command)
    assert failed.returncode == 1
    run_id = Store(str(tmp_path / "out")).read_text("LATEST").strip()
    assert (
        failed.stderr.strip()
        .splitlines()[-1]
        .startswith(f"eci: run {run_id} is committed, and not (wholly) published to delta:{tmp_path}/file/lake: ")
    )
    assert f"eci publish --run {run_id} --out out" in failed.stderr and "Traceback" not in failed.stderr
    (tmp_path / "file").unlink()
    done = eci("publish", "--run", run_id[:12], "--out", "out")
    assert done.returncode == 0, done.stderr
    assert f"Published run {run_id} to delta:{tmp_path}/file/lake: 600 rows of scores, " in done.stdout
    again = eci(*command)
    assert (
        again.returncode == 0
        and f"Run {run_id} is in delta:{tmp_path}/file/lake already; nothing was appended." in again.stdout
    )


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("delta:s3://KEY:SECRET@bucket/x", "credentials from the environment"),
        ("s3://bucket/x", "is no place of tables; give delta:"),
        ("iceberg:nightly", "is no place of tables"),
        ("delta: ", "is no place of tables"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anything_is_run(tmp_path: Path, to: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        run_lake(tmp_path / "out", "nothing.parquet", publish=to)
    assert "SECRET" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_old_runs_go_from_the_tables_where_gc_is_told_so(
    small_lake: VectorLake, tmp_path: Path, eci: Callable[..., Any]
) -> None:
    (tmp_path / "lake").mkdir()
    for kappa in ("0.2", "0.3"):
        assert eci(*small_lake.command("--no-probe", "--publish", "delta:lake", "--kappa", kappa)).returncode == 0
    # the place is whole: who removes the runs may stand elsewhere
    for path in (tmp_path / "out" / "runs").glob("*/manifest.json"):
        assert json.loads(path.read_text())["settings"]["publish"] == f"delta:{tmp_path / 'lake'}"
    older, newer = sorted(path.name for path in (tmp_path / "out" / "runs").iterdir())
    # and other places are known by what eci publish has kept
    for run_id in (older, newer):
        assert eci("publish", "--run", run_id, "--to", "delta:other", "--out", "out").returncode == 0
    assert eci("verify", "--out", "out").returncode == 0
    others = pl.read_delta(str(tmp_path / "lake" / "source_eci")).filter(pl.col("run_id") == older)
    others.with_columns(run_id=pl.lit("of another root")).write_delta(
        str(tmp_path / "lake" / "source_eci"), mode="append"
    )
    dry = eci("gc", "--keep-runs", "1", "--published", "--dry-run", "--out", "out")
    assert f"delta:{tmp_path / 'lake'}: the old runs would go from source_eci, source_pairs" in dry.stdout
    assert older in counted(tmp_path / "lake")["source_eci"]
    assert eci("gc", "--keep-runs", "1", "--published", "--out", "out").returncode == 0
    assert counted(tmp_path / "lake")["source_eci"] == {newer: 4, "of another root": 4}
    assert counted(tmp_path / "lake")["source_pairs"] == {newer: 6}
    assert counted(tmp_path / "other")["source_eci"] == {newer: 4}
    assert [path.name for path in (tmp_path / "out" / "runs").iterdir()] == [newer]


def test_scores_of_older_runs_are_published_where_their_ids_are_text(runs: Any) -> None:
    out, made = runs
    store = Store(str(out))
    manifest = read_manifest(store, made[0])
    older: Any = {**manifest, "layout": 2}
    assert batches_of(store, older, SCORES).read_all().num_rows == TABLES["scores"]
    with pytest.raises(InputError, match="whose ids are UUIDs; run again to publish scores"):
        batches_of(store, {**older, "layout": 1}, SCORES)


def test_publishing_changes_nothing_of_the_run(runs: Any, tmp_path: Path) -> None:
    out, made = runs
    before = tables_of(out, made[0])
    jobs.publish(str(out), f"delta:{tmp_path}", made[0], scores=True)
    assert tables_of(out, made[0]) == before


def test_a_run_that_says_nowhere_needs_a_place(runs: Any) -> None:
    with pytest.raises(EciError, match="was to be published nowhere; say where with --to"):
        jobs.publish(str(runs[0]), None, runs[1][0])
