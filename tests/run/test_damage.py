"""Damage in an output root is found, named, and harms nothing else: bits are flipped and files taken away, kind by kind.

A few flips of each kind here, over a thousand in `make attack`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.decide.ablation import ablate
from jobs.errors import DamagedError, EciError, InputError
from jobs.finished.committed import Finished
from jobs.finished.result import ranking_of
from jobs.finished.verification import verify
from jobs.output import verified
from jobs.output.catalog import views
from jobs.output.query import query
from jobs.output.runs import latest, whole
from jobs.output.store import Store
from jobs.terminal.progress import Silent
from tests.attack import ATTACK
from tests.conftest import run_lake
from tests.lakes import VectorLake, vector_lake, write_triples

pytestmark = pytest.mark.attack("damaged tables")

FLIPS = 1140 if ATTACK else 57
"""Over all kinds together."""


@dataclass(frozen=True)
class Root:
    out: Path
    lake: VectorLake
    first: str
    second: str

    @property
    def folder(self) -> Path:
        """The newest run's."""
        return self.out / "runs" / self.second


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Two runs over a small lake, the second with ablations."""
    folder = tmp_path_factory.mktemp("damage")
    lake = vector_lake(folder / "lake", 8, 600, sources=2, queries=300)
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    settings: dict[str, Any] = {
        "vectors": str(lake.vectors), "folds": 2, "buckets": 1, "probe": {"halvings": 1, "steps": 4},
        "cluster": "distributed.LocalCluster", "cluster_options": options,
    }  # fmt: skip
    out = folder / "out"
    first = run_lake(out, lake.triples, **settings).run_id
    bad = [("a query", "a passage", " ", "source 0")]
    write_triples(lake.triples, [*lake.rows[:-10], *bad])
    second = run_lake(out, lake.triples, **settings).run_id
    ablate(str(out), Silent(), only=["temperature"])
    return Root(out, lake, first, second)


@contextmanager
def kept(path: Path) -> Iterator[bytes]:
    """Give a file's content, and put it back."""
    data = path.read_bytes()
    try:
        yield data
    finally:
        shutil.rmtree(path, ignore_errors=True)
        path.write_bytes(data)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def everything(out: Path) -> dict[str, Any]:
    """All that is read of a root: the newest run's ranking and tables, and what SQL and reports take from the others."""
    run = Finished.open(str(out))
    tables = {file["path"]: run.read(file["path"]).to_pylist() for file in run.manifest["files"]}
    return {"rank": ranking_of(str(out)), "tables": tables, "views": views(run.store)}


KINDS = {
    "manifest": "runs/{second}/manifest.json",
    "another run's manifest": "runs/{first}/manifest.json",
    "LATEST": "LATEST",
    "source_eci": "runs/{second}/source_eci.parquet",
    "another run's source_eci": "runs/{first}/source_eci.parquet",
    "source_pairs": "runs/{second}/source_pairs.parquet",
    "source_probe": "runs/{second}/source_probe.parquet",
    "probe_pairs": "runs/{second}/probe_pairs.parquet",
    "probe_curve": "runs/{second}/probe_curve.parquet",
    "moments": "runs/{second}/moments.parquet",
    "idf": "runs/{second}/idf.parquet",
    "scores": "runs/{second}/scores/fold-00-part-000.parquet",
    "texts": "runs/{second}/texts/bucket-000.parquet",
    "rejects": "runs/{second}/rejects/part-000.parquet",
    "ablations": "ablations/{second}.parquet",
    "report": "runs/{second}/report.html",
    "catalog": "catalog.duckdb",
    "index of runs": "index.html",
    "root's marker": ".eci-root",
}
NEWEST = {"manifest", "another run's manifest", "another run's source_eci", "LATEST", "ablations"}
"""What harms no other: the rest is read, and what is damaged is named."""
UNREAD = {"report", "catalog", "index of runs", "root's marker"}
"""What eci itself never reads back."""


def test_no_flipped_bit_is_read_as_data_and_verify_names_the_file(
    root: Root, caplog: pytest.LogCaptureFixture, counted: Callable[..., None]
) -> None:
    numbers, right = random.Random(25), everything(root.out)
    table: dict[str, dict[str, int]] = {}
    for k in range(FLIPS):
        kind = list(KINDS)[k % len(KINDS)]
        name = KINDS[kind].format(first=root.first, second=root.second)
        count = table.setdefault(kind, {"tried": 0, "found": 0, "harmless": 0})
        with kept(root.out / name) as data:
            (root.out / name).write_bytes(flipped(data, numbers.randrange(len(data)), numbers.randrange(8)))
            caplog.clear()
            count["tried"] += 1
            said = [fault.path for fault in verify(str(root.out)).faults]
            found = None
            try:
                found = everything(root.out)
            except DamagedError as error:
                assert name in str(error) and "\n" not in str(error)
                assert kind not in NEWEST | UNREAD
            else:
                # the run before it may be what is shown, and is then named
                assert kind in NEWEST | UNREAD, (kind, name)
                if found != right:
                    assert kind in NEWEST
                    with_notice = kind == "ablations" or found["rank"]["run_id"] in (root.first, root.second)
                    assert with_notice
            # every byte of these is under a hash; the catalog has unused pages, LATEST white space at its end
            assert name in said or kind in ("catalog", "LATEST") or found == right, (kind, name)
            count["found" if name in said or found is None else "harmless"] += 1
    for kind, count in table.items():
        counted(kind=f"bits of {kind}", **count)
    assert verify(str(root.out)).faults == () and everything(root.out) == right


COMMANDS = [
    (("rank",), "source_eci.parquet"),
    (("rank", "--json"), "source_pairs.parquet"),
    (("mix",), "source_eci.parquet"),
    (("select", "--to", "TO", "--format", "bge"), "scores/fold-01-part-000.parquet"),
    (("select", "--to", "TO", "--format", "bge"), "texts/bucket-000.parquet"),
    (("report", "--to", "TO"), "moments.parquet"),
    (("sql", "SELECT count(*) FROM scores"), "scores/fold-01-part-000.parquet"),
    (("sql", "SELECT max(idf) FROM idf"), "idf.parquet"),
    (("probe",), "scores/fold-01-part-000.parquet"),
    (("ablate",), "moments.parquet"),
]


@pytest.mark.parametrize(("command", "file"), COMMANDS, ids=[f"{command[0]} {file}" for command, file in COMMANDS])
@pytest.mark.parametrize("gone", [False, True])
def test_a_command_stops_at_a_damaged_table_and_names_it(
    root: Root, tmp_path: Path, command: tuple[str, ...], file: str, gone: bool
) -> None:
    arguments = [str(tmp_path / "to") if part == "TO" else part for part in command]
    with kept(root.folder / file) as data:
        if gone:
            (root.folder / file).unlink()
        else:
            (root.folder / file).write_bytes(flipped(data, len(data) // 2, 0))
        done = CliRunner().invoke(app, [*arguments, "--out", str(root.out)])
    error = done.exception
    assert isinstance(error, InputError) and error.exit_code == 2, (done.output, error)
    assert str(root.folder / file) in str(error) and "eci verify" in str(error) and "\n" not in str(error)
    assert [*tmp_path.glob("to/*")] == []


def test_a_damaged_table_of_another_run_stops_diff_and_nothing_else(root: Root, caplog: Any) -> None:
    path = root.out / "runs" / root.first / "source_eci.parquet"
    with kept(path) as data:
        path.write_bytes(flipped(data, len(data) // 2, 0))
        done = CliRunner().invoke(app, ["diff", root.first, root.second, "--out", str(root.out)])
        assert isinstance(done.exception, DamagedError) and str(path) in str(done.exception)
        rows = query(Store(str(root.out)), "SELECT DISTINCT run_id FROM source_eci_history").read_all().to_pylist()
    assert rows == [{"run_id": root.second}]
    assert f"run {root.first} is left out of source_eci_history: {path}: damaged" in caplog.text


@pytest.mark.parametrize("said", [b"", b"\xff\xfe\x00garbage", b"../../etc", b"20260101T010000Z-0a1b2c\n"])
def test_a_damaged_latest_is_named_and_the_newest_run_is_found(root: Root, said: bytes, caplog: Any) -> None:
    with kept(root.out / "LATEST"):
        (root.out / "LATEST").write_bytes(said)
        assert latest(Store(str(root.out))) == root.second
        assert "LATEST names no run that can be read" in caplog.text
        assert [fault.path for fault in verify(str(root.out)).faults] == ["LATEST"]


@pytest.mark.parametrize("said", ["{}", "[]", "", "null", '{"run_id": 7}', "\x00", '{"files": "no"}'])
def test_a_manifest_that_is_none_is_named_and_harms_no_other(root: Root, said: str, caplog: Any) -> None:
    for run_id, other in ((root.first, root.second), (root.second, root.first)):
        path = root.out / "runs" / run_id / "manifest.json"
        with kept(path):
            path.write_text(said)
            store = Store(str(root.out))
            assert latest(store) == other and list(whole(store)) == [other]
            assert f"run {run_id} is left out: {path}: the manifest is damaged" in caplog.text
            if said == "{}":
                assert query(store, "SELECT run_id FROM runs").read_all().to_pylist() == [{"run_id": other}]
            done = CliRunner().invoke(app, ["rank", "--run", run_id, "--out", str(root.out)])
            assert isinstance(done.exception, DamagedError) and str(path) in str(done.exception)


def test_a_folder_that_is_no_run_is_named_and_left(root: Root) -> None:
    (root.out / "runs" / "mine").mkdir()
    try:
        found = verify(str(root.out))
        assert found.others == ("runs/mine",) and found.faults == ()
        assert everything(root.out)["rank"]["run_id"] == root.second
    finally:
        (root.out / "runs" / "mine").rmdir()


def test_verify_tells_of_every_file_in_a_line_and_ends_with_1(root: Root) -> None:
    files = [root.folder / "idf.parquet", root.folder / "moments.parquet"]
    with kept(files[0]) as data, kept(files[1]):
        files[0].write_bytes(data[:-1])
        files[1].unlink()
        done = CliRunner().invoke(app, ["verify", "--out", str(root.out)])
        one = CliRunner().invoke(app, ["verify", "--out", str(root.out), "--run", root.first[:-1]])
    assert isinstance(done.exception, EciError) and done.exception.exit_code == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"runs/{root.second}/idf.parquet: damaged: ")
    assert lines[1].startswith(f"runs/{root.second}/moments.parquet: missing: ")
    assert one.exit_code == 0 and one.stdout.startswith("All is as it was written: ")


def test_what_is_remembered_of_a_large_file_is_not_believed_of_another(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict saves the second reading; it does not survive a change that keeps size and time."""
    monkeypatch.setattr(verified, "user_cache_dir", lambda _: str(tmp_path))
    monkeypatch.setattr(verified, "NO_VERDICT", 0)
    monkeypatch.setattr(verified, "FRESH_NS", 0)
    store, path = Store(str(root.out)), root.folder / "moments.parquet"
    folder, manifest = f"runs/{root.second}", whole(Store(str(root.out)))[root.second]
    files = [file for file in manifest["files"] if file["path"] == "moments.parquet"]
    verified.check(store, folder, files)
    (remembered,) = (tmp_path / "verified").iterdir()
    assert json.loads(remembered.read_text())[f"{folder}/moments.parquet"][-1] == files[0]["sha256"]
    with kept(path) as data:
        before = path.stat()
        path.write_bytes(flipped(data, len(data) // 2, 3))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(DamagedError, match=r"moments\.parquet: damaged"):
            verified.check(store, folder, files)
    # what was remembered is of no use where it is garbage itself
    for garbage in ("", "[]", "{", '{"a": 1}'):
        remembered.write_text(garbage)
        verified.check(store, folder, files)
