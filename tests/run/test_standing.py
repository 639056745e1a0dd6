"""A run stands only where it is whole and over just the same content; what a killed commit has left is finished at the next start."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from jobs.config import make_config
from jobs.errors import InputError
from jobs.finished.result import RunResult
from jobs.finished.verification import verify
from jobs.output.runs import latest, read_manifest
from jobs.output.store import Store
from jobs.pipeline.run import run
from jobs.terminal.progress import Silent
from tests.attack import ATTACK
from tests.conftest import same_bytes, tables_of
from tests.lakes import vector_lake

pytestmark = pytest.mark.attack("runs that are not whole, or over other inputs")

OPTIONS = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}


class Root(NamedTuple):
    out: Path
    triples: Path
    settings: dict[str, Any]

    def again(self, progress: Any = None, **more: Any) -> RunResult:
        return run(
            make_config({"out": str(self.out), "inputs": [{"triples": str(self.triples)}], **self.settings, **more}),
            progress,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Root:
    folder = tmp_path_factory.mktemp("standing")
    lake = vector_lake(folder / "lake", 8, 80, sources=2)
    path = folder / "lake" / "triples.jsonl"
    names = ("query", "positive", "negative", "source")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in lake.rows))
    settings: dict[str, Any] = {
        "vectors": str(lake.vectors), "folds": 2, "buckets": 1, "no_probe": True, "memory": "4GB",
        "cluster": "distributed.LocalCluster", "cluster_options": OPTIONS,
    }  # fmt: skip
    root = Root(folder / "out", path, settings)
    root.again()
    return root


@pytest.fixture
def root(made: Root, tmp_path: Path) -> Root:
    """The root with its run and its input, to be harmed."""
    shutil.copytree(made.out, tmp_path / "out")
    before = made.triples.stat()
    made.triples.touch()
    os.utime(made.triples, ns=(before.st_atime_ns, before.st_mtime_ns))
    return made._replace(out=tmp_path / "out")


def listed(out: Path) -> list[str]:
    with duckdb.connect(str(out / "catalog.duckdb"), read_only=True) as con:
        return [str(name) for (name,) in con.execute("SELECT run_id FROM runs ORDER BY run_id").fetchall()]


def test_a_whole_run_over_the_same_content_stands_and_says_what_it_read(root: Root) -> None:
    assert root.again().unchanged
    inputs = read_manifest(Store(str(root.out)), latest(Store(str(root.out))))["inputs"]
    assert len(inputs) == 2
    for given in inputs:
        assert given["digest"] == f"sha256:{hashlib.sha256(Path(given['path']).read_bytes()).hexdigest()}"


@pytest.mark.parametrize("kept", ["in place", "by rename"])
def test_an_input_replaced_by_one_of_the_same_size_and_time_is_read(root: Root, kept: str, caplog: Any) -> None:
    data, before = root.triples.read_bytes(), root.triples.stat()
    rows = data.splitlines(keepends=True)
    other = b"".join([*rows[:-1], rows[-2], *[]])
    other = other[: len(data)].ljust(len(data), b"\n") if len(other) >= len(data) else other.ljust(len(data), b"\n")
    try:
        if kept == "in place":
            root.triples.write_bytes(other)
        else:
            (root.triples.parent / "new").write_bytes(other)
            (root.triples.parent / "new").rename(root.triples)
        os.utime(root.triples, ns=(before.st_atime_ns, before.st_mtime_ns))
        first = latest(Store(str(root.out)))
        result = root.again()
        assert not result.unchanged and result.run_id != first
        assert result.totals["duplicates"] + result.totals["rejected"] == 1
        assert f"{root.triples} holds something else than that run has read" in caplog.text
        assert root.again().unchanged
    finally:
        root.triples.write_bytes(data)
        os.utime(root.triples, ns=(before.st_atime_ns, before.st_mtime_ns))


HARMED = ("source_eci.parquet", "scores/fold-01-part-000.parquet", "manifest.json", "")
"""Files of a run, and its whole folder."""


@pytest.mark.parametrize(
    ("file", "gone"),
    [(file, gone) for k, file in enumerate(HARMED) for gone in (True, False) if ATTACK or gone == (k % 2 > 0)],
)
def test_a_run_that_is_not_whole_does_not_stand(root: Root, file: str, gone: bool, caplog: Any) -> None:
    first = latest(Store(str(root.out)))
    right = tables_of(root.out, first)
    path = root.out / "runs" / first / file
    if not file:
        shutil.rmtree(path)
    elif gone:
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    result = root.again()
    assert not result.unchanged and result.run_id != first
    assert same_bytes(tables_of(root.out, result.run_id), right) == []
    assert root.again().unchanged
    assert latest(Store(str(root.out))) == result.run_id


def no_latest(out: Path) -> None:
    (out / "LATEST").unlink()


def other_latest(out: Path) -> None:
    (out / "LATEST").write_bytes(b"\xff\x00 nothing")


def no_catalog(out: Path) -> None:
    (out / "catalog.duckdb").unlink()


def other_catalog(out: Path) -> None:
    data = bytearray((out / "catalog.duckdb").read_bytes())
    data[:200] = bytes(200)
    (out / "catalog.duckdb").write_bytes(data)


def no_report(out: Path) -> None:
    next(out.glob("runs/*/report.html")).unlink()


@pytest.mark.parametrize("harm", [no_latest, other_latest, no_catalog, other_catalog, no_report])
def test_a_start_mends_what_lies_beside_the_tables(root: Root, harm: Callable[[Path], None]) -> None:
    harm(root.out)
    assert verify(str(root.out)).faults != ()
    assert root.again().unchanged
    assert verify(str(root.out)).faults == ()


@pytest.mark.parametrize(
    ("point", "same"),
    [("open:LATEST", False), ("open:catalog.duckdb", True)]
    + ([("open:LATEST", True), ("open:catalog.duckdb", False)] if ATTACK else []),
)
def test_any_start_finishes_what_a_stopped_commit_has_left(
    root: Root, point: str, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = latest(Store(str(root.out)))
    monkeypatch.setenv("ECI_FAULT_AT", f"{point}:EIO")
    with pytest.raises(OSError, match="Input/output error"):
        root.again(kappa=0.25)
    monkeypatch.delenv("ECI_FAULT_AT")
    (second,) = {path.name for path in (root.out / "runs").iterdir()} - {first}
    if point.endswith("duckdb"):
        assert listed(root.out) == [first]
    result = root.again(kappa=0.25 if same else 0.75)
    assert not result.unchanged and (result.run_id == second) == same
    assert listed(root.out) == sorted({first, second, result.run_id})
    assert latest(Store(str(root.out))) == result.run_id
    assert [path.name for path in (root.out / "work").iterdir()] == ["LOCK"]
    assert root.again(kappa=0.25 if same else 0.75).unchanged


class Meddling(Silent):
    """Changes a file when a stage begins."""

    def __init__(self, stage: str, change: Callable[[], None]) -> None:
        self._stage, self._change = stage, change

    def start(self, stage: str, tasks: int, done: int, rows: int | None) -> None:
        if stage == self._stage:
            self._change()


@pytest.mark.parametrize(
    ("stage", "how"),
    [("inputs", "appended"), ("ingest", "same size and time")]
    + ([("inputs", "gone"), ("ingest", "gone"), ("ingest", "appended")] if ATTACK else []),
)
def test_an_input_that_changes_while_it_is_read_stops_the_run(root: Root, stage: str, how: str) -> None:
    data, before = root.triples.read_bytes(), root.triples.stat()
    first = latest(Store(str(root.out)))

    def change() -> None:
        if how == "gone":
            root.triples.unlink()
        elif how == "appended":
            root.triples.write_bytes(data + data.splitlines(keepends=True)[0])
        else:
            root.triples.write_bytes(data.replace(b"source 1", b"source 0", 1))
            os.utime(root.triples, ns=(before.st_atime_ns, before.st_mtime_ns))

    try:
        with pytest.raises(InputError, match=r"triples\.jsonl") as stopped:
            root.again(Meddling(stage, change), kappa=0.1)
        if how != "gone" or stage == "inputs":
            assert "changed while this run was reading it" in str(stopped.value)
        assert "bug" not in str(stopped.value)
        assert latest(Store(str(root.out))) == first
        assert [path.name for path in (root.out / "work").iterdir()] == ["LOCK"]
    finally:
        root.triples.write_bytes(data)
        os.utime(root.triples, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not root.again(kappa=0.1).unchanged
