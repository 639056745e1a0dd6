"""A run that was stopped, killed or starved goes on where it stood, and its tables are those of an undisturbed one."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.output.store import Store
from tests.crash.runs import assert_whole, finish, published, start, workers_of
from tests.lakes import VectorLake


@pytest.fixture(scope="module")
def undisturbed(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    code, _, err = finish(start(small_lake, out))
    assert code == 0, err
    return published(out)


def wait_for(path: Path, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not glob.glob(str(path)):
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.02)


COMMIT_POINTS = [
    "open:publish/manifest.json",
    "rename:publish/manifest.json",
    "publish:",
    "rename:index.html",
    "open:LATEST",
    "rename:LATEST",
    "rename:catalog.duckdb",
]


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_a_driver_killed_while_it_commits_is_picked_up(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path, point: str
) -> None:
    code, _, err = finish(start(small_lake, tmp_path / "out", ECI_FAULT_AT=point + ":KILL"))
    assert code == -signal.SIGKILL, err
    code, _, err = finish(start(small_lake, tmp_path / "out"))
    assert code == 0, err
    assert_whole(tmp_path / "out", undisturbed)
    (run,) = (tmp_path / "out" / "runs").iterdir()
    assert run.name in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_in_one_line_and_resumes(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path, signal_sent: int, workers: int
) -> None:
    out = tmp_path / "out"
    process = start(small_lake, out, workers)
    wait_for(out / "work" / "*" / "settle" / "00.json")
    os.killpg(process.pid, signal_sent)
    code, _, err = finish(process)
    assert code == 1
    assert err.strip() == "eci: stopped; finished tasks are kept, the same command goes on from there"
    assert not (out / "LATEST").exists()
    code, _, err = finish(start(small_lake, out))
    assert code == 0, err
    assert_whole(out, undisturbed)


WITHOUT_WORKERS = [
    "open:settle/00.parts.arrow",
    "rename:exchange/000.arrow",
    "open:score/01.moments.arrow",
    "rename:score/02.json",
    "open:publish/moments.parquet",
    *COMMIT_POINTS,
]


@pytest.mark.parametrize("point", WITHOUT_WORKERS)
def test_a_run_without_workers_that_is_killed_goes_on_with_or_without_them(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path, point: str
) -> None:
    code, _, err = finish(start(small_lake, tmp_path / "out", workers=0, ECI_FAULT_AT=point + ":KILL"))
    assert code == -signal.SIGKILL, err
    code, _, err = finish(start(small_lake, tmp_path / "out", workers=WITHOUT_WORKERS.index(point) % 2))
    assert code == 0, err
    assert_whole(tmp_path / "out", undisturbed)


@pytest.mark.parametrize("what", ["ENOSPC", "EIO"])
def test_a_failing_disk_is_one_line_without_workers_too(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path, what: str
) -> None:
    out = tmp_path / "out"
    code, _, err = finish(start(small_lake, out, workers=0, ECI_FAULT_AT=f"open:score/01.moments.arrow:{what}"))
    said = "the disk is full" if what == "ENOSPC" else "Input/output error"
    assert code == 1 and err.startswith("eci: score 01: ") and said in err and err.count("\n") == 1
    code, _, err = finish(start(small_lake, out, workers=0))
    assert code == 0, err
    assert_whole(out, undisturbed)


def test_a_killed_worker_costs_its_tasks_and_nothing_else(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(small_lake, out, workers=2)
    wait_for(out / "cache" / "inputs" / "ingest" / "*.json")
    workers_of(process.pid)[0].kill()
    code, _, err = finish(process)
    assert code == 0, err
    assert_whole(out, undisturbed)


def test_a_worker_killed_while_it_starts_is_started_again(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    process = start(small_lake, tmp_path / "out")
    end = time.monotonic() + 60
    while not (workers := workers_of(process.pid)):
        assert time.monotonic() < end, "no worker came"
        time.sleep(0.01)
    workers[0].kill()
    code, _, err = finish(process)
    assert code == 0, err
    assert_whole(tmp_path / "out", undisturbed)


def test_a_second_run_into_the_same_output_names_the_first(small_lake: VectorLake, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = start(small_lake, out)
    wait_for(out / "work" / "LOCK")
    code, _, err = finish(start(small_lake, out))
    assert code == 2
    assert f"process {first.pid}" in err
    assert "Traceback" not in err
    assert finish(first)[0] == 0


def test_a_failing_disk_ends_the_run_in_one_line_and_a_rerun_succeeds(
    small_lake: VectorLake, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, _, err = finish(start(small_lake, out, ECI_FAULT_AT="open:exchange/002.arrow:ENOSPC"))
    assert code == 1
    assert err.startswith("eci: exchange 002: the disk is full") and err.count("\n") == 1
    assert not (out / "LATEST").exists()
    code, _, err = finish(start(small_lake, out))
    assert code == 0, err
    assert_whole(out, undisturbed)


def test_a_disk_that_is_full_for_the_driver_is_said_with_the_file(small_lake: VectorLake, tmp_path: Path) -> None:
    code, _, err = finish(start(small_lake, tmp_path / "out", ECI_FAULT_AT="open:publish/manifest.json:ENOSPC"))
    assert code == 1 and err.startswith("eci: the disk is full ") and err.count("\n") == 1
    assert "publish/manifest.json; free some space" in err


def test_a_write_that_fails_names_its_file(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left on device: .*status"),
        Store(str(tmp_path)).attempt("status") as path,
    ):
        Path(path).symlink_to("/dev/full")
        Path(path).write_text("a state", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_run_before_in_place(small_lake: VectorLake, tmp_path: Path) -> None:
    small = tmp_path / "disk"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here (needs root)")
    try:
        code, _, err = finish(start(small_lake, small / "out"))
        assert code == 1
        assert "the disk is full" in err and "Traceback" not in err
        assert not (small / "out" / "LATEST").exists()
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_the_module_runs_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "jobs.cli", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "rank" in done.stdout
