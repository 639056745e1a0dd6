"""Commands that are stopped at any step, by a kill or a reader's reset: what is left is whole, and the same command finishes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import DamagedError
from jobs.finished.result import ranking_of
from jobs.finished.verification import verify
from jobs.output.cleaning import Rules, clean
from jobs.output.runs import committed
from jobs.output.store import Store
from jobs.validation.outcome import Settings
from jobs.validation.tables import read_tables, write_tables
from jobs.validation.validate import validate
from tests.attack import ATTACK
from tests.conftest import run_lake
from tests.lakes import vector_lake
from tests.run.test_validate import GRID, documentation_of

pytestmark = pytest.mark.attack("kills during gc, ablate and validate")
OPTIONS = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
KEEP_ONE = Rules(keep_runs=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small runs."""
    folder = tmp_path_factory.mktemp("stopped")
    lake = vector_lake(folder / "lake", 8, 80, sources=2)
    settings: dict[str, Any] = {
        "vectors": str(lake.vectors), "folds": 2, "buckets": 1, "no_probe": True,
        "cluster": "distributed.LocalCluster", "cluster_options": OPTIONS,
    }  # fmt: skip
    for kappa in (0.2, 0.3, 0.4):
        run_lake(folder / "out", lake.triples, kappa=kappa, **settings)
    return folder / "out"


class Killed(BaseException):
    """Nothing may catch it, as nothing catches a kill."""


def stopped_at(number: int, act: Callable[[], Any]) -> bool:
    """Stop an action at its `number`th removal of a file or folder; returns whether it got there."""
    left = number

    def counting(real: Callable[..., None]) -> Callable[..., None]:
        def removed(*arguments: Any, **options: Any) -> None:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            real(*arguments, **options)

        return removed

    with pytest.MonkeyPatch.context() as patch:
        for name in ("unlink", "rmdir", "replace"):
            patch.setattr(os, name, counting(getattr(os, name)))
        try:
            act()
        except Killed:
            return True
    return False


def test_a_gc_that_is_stopped_at_any_removal_harms_no_run_that_stays_and_is_finished_by_the_next(
    root: Path, tmp_path: Path, counted: Callable[..., None]
) -> None:
    last, number = committed(Store(str(root)))[-1], 0
    while True:
        out = tmp_path / f"out{number}"
        shutil.copytree(root, out)
        stopped = stopped_at(number, lambda out=out: clean(str(out), KEEP_ONE))  # type: ignore[misc]
        assert ranking_of(str(out))["run_id"] == last
        clean(str(out), KEEP_ONE)
        assert committed(Store(str(out))) == [last] == [path.name for path in (out / "runs").iterdir()]
        assert verify(str(out)).faults == ()
        shutil.rmtree(out)
        if not stopped:
            break
        number += 1 if ATTACK else 3
    assert number > 10
    counted(tried=number, found=number, cured=number)


@pytest.mark.parametrize("point", ["open", "rename"])
def test_an_ablate_that_is_killed_leaves_no_half_table_and_is_done_by_the_next(
    root: Path, tmp_path: Path, point: str, counted: Callable[..., None]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(root, out)
    command = [sys.executable, "-m", "jobs.cli", "ablate", "--out", str(out), "--only", "temperature"]
    killed = subprocess.run(
        command,
        env=os.environ | {"ECI_FAULT_AT": f"{point}:ablations/{committed(Store(str(root)))[-1]}.parquet:KILL"},
        capture_output=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL
    assert verify(str(out)).faults == () and Store(str(out)).names("ablations") == []
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert verify(str(out)).faults == () and len(Store(str(out)).names("ablations")) == 1
    counted(tried=1, found=1, cured=1)


@pytest.mark.skipif(not ATTACK, reason="two minutes: part of `make attack`")
def test_a_validation_that_is_stopped_between_its_tables_is_not_read_as_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counted: Callable[..., None],
) -> None:
    out = tmp_path / "out"
    small = Settings(
        str(documentation_of(tmp_path / "documentation")), str(out), seeds=1, grid=GRID, workers=1, memory="2GB"
    )
    with pytest.raises(OSError, match="Input/output"):
        monkeypatch.setenv("ECI_FAULT_AT", "open:lake/validation/001.parquet:EIO")
        validate(small)
    monkeypatch.delenv("ECI_FAULT_AT")
    found = validate(small)
    right = repr(read_tables(str(out)))
    later = replace(found, run=replace(found.run, run_id="20990101T000000Z-abcdef"))
    places = ("validation_sources.parquet", "validation_summary.parquet", "validation_pairs.parquet", "validation.json")
    for place in places:
        write_tables(found)
        assert repr(read_tables(str(out))) == right
        monkeypatch.setenv("ECI_FAULT_AT", f"rename:validation/{place}:EIO")
        with pytest.raises(OSError, match="Input/output"):
            write_tables(later)
        monkeypatch.delenv("ECI_FAULT_AT")
        if place == places[0]:
            assert repr(read_tables(str(out))) == right
        else:
            with pytest.raises(DamagedError, match="of different validations .* make it again"):
                read_tables(str(out))
        # each file by itself is whole
        assert verify(str(out)).faults == ()
    flips = found_out = 0
    for place in places:
        path = out / "validation" / place
        write_tables(found)
        data = path.read_bytes()
        for at in range(100, len(data), max(1, len(data) // 40)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            flips += 1
            try:
                assert repr(read_tables(str(out))) == right
            except DamagedError as error:
                found_out += 1
                assert str(path) in str(error)
                assert [fault.path for fault in verify(str(out)).faults] == [f"validation/{place}"]
        path.write_bytes(data)
    counted(tried=flips + 5, found=found_out + 5, harmless=flips - found_out, cured=5)
