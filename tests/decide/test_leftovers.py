"""A command that writes a new folder and is killed in the middle: the same command goes through, and nothing stays behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.decide.selection import Choice, select
from jobs.errors import HeldError, InputError
from jobs.output import leftovers
from jobs.output.leftovers import MARK, filling, scratch
from jobs.output.store import Store
from tests.decide.conftest import Decided

pytestmark = pytest.mark.attack("what stopped commands leave")


def command(decided: Decided, to: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "jobs.cli",
        "select",
        "--out",
        str(decided.out),
        "--to",
        str(to),
        "--shard-rows",
        "200",
    ]


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "at", ["open:part-00000.parquet", "rename:part-00003.parquet", "rename:manifest.json", "after"]
)
def test_a_select_that_is_killed_is_made_anew_by_the_same_command_and_leaves_nothing(
    decided: Decided, tmp_path: Path, at: str
) -> None:
    to, temporary, whole = tmp_path / "to", tmp_path / "tmp", tmp_path / "whole"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    if at == "after":  # between its last two steps
        select(str(decided.out), str(to), "triples", Choice(), shard_rows=200)
        (to / MARK).touch()
    else:
        killed = subprocess.run(command(decided, to), env=environment | {"ECI_FAULT_AT": f"{at}:KILL"}, timeout=120)
        assert killed.returncode == -signal.SIGKILL
        assert (to / MARK).exists() and len(list(temporary.iterdir())) == 1
    again = subprocess.run(command(decided, to), env=environment, capture_output=True, text=True, timeout=120)
    if at == "after":
        assert again.returncode == 2 and "holds something already" in again.stderr
    else:
        assert again.returncode == 0, again.stderr
    select(str(decided.out), str(whole), "triples", Choice(), shard_rows=200)
    assert written(to) == written(whole)
    assert list(temporary.iterdir()) == []


def test_what_is_not_its_own_stays(tmp_path: Path) -> None:
    for held in ([], [MARK]):
        to = tmp_path / f"to{len(held)}"
        to.mkdir()
        for name in ("mine.txt", *held):
            (to / name).write_text("mine")
        with pytest.raises(InputError, match=r"holds something already \(mine.txt\)"), filling(Store(str(to)), "data"):
            pass
        assert (to / "mine.txt").read_text() == "mine"


def test_a_folder_that_another_process_fills_is_left_to_it(tmp_path: Path) -> None:
    with (
        filling(Store(str(tmp_path)), "data"),
        pytest.raises(HeldError, match="another command is writing"),
        filling(Store(str(tmp_path)), "data"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_fails_leaves_the_folder_empty(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(RuntimeError), filling(store, "data"):
        store.write_text("data/a", "x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_temporary_folders_of_the_living_and_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers.tempfile, "tempdir", str(tmp_path))
    for name in ("eci-mine", "eci-dead", "eci-living", "other"):
        (tmp_path / name).mkdir()
        if name != "eci-mine":
            (tmp_path / name / "owner").touch()
    (tmp_path / "eci-link").symlink_to(tmp_path / "other")
    with (tmp_path / "eci-living" / "owner").open("rb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        leftovers._sweep.cache_clear()
        with scratch() as folder:
            Path(folder, "x").touch()
            assert len(list(tmp_path.iterdir())) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eci-link", "eci-living", "eci-mine", "other"]
    leftovers._sweep.cache_clear()


def test_an_ingest_that_is_killed_is_made_anew(decided: Decided, tmp_path: Path) -> None:
    to = tmp_path / "to"
    arguments = [sys.executable, "-m", "jobs.cli", "ingest", "--triples", str(decided.lake.triples), "--to", str(to)]
    killed = subprocess.run(arguments, env=os.environ | {"ECI_FAULT_AT": "rename:000000.parquet:KILL"}, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    started = time.monotonic()
    again = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, (again.stderr, time.monotonic() - started)
    assert [path.name for path in to.iterdir()] == ["000000.parquet"]
