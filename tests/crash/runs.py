"""Runs as child processes that can be killed, over a small lake of vectors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from jobs.output import cleaning
from jobs.output.runs import latest
from jobs.output.store import Store
from tests.conftest import same_bytes, tables_of
from tests.lakes import VectorLake


def start(
    lake: VectorLake, out: Path, workers: int = 1, small: bool = False, **environment: str
) -> subprocess.Popen[str]:
    """Start `eci run` in a process group of its own; `small`: one bucket and two folds, so that there are few steps.

    `workers`: 0 says nothing of any, so that the run is done in the driver's own process.
    """
    settings = out.with_suffix(".toml")
    settings.parent.mkdir(parents=True, exist_ok=True)
    sizes = "buckets = 1\nfolds = 2\n" if small else "folds = 4\n"
    settings.write_text(sizes + "[probe]\nhalvings = 1\nsteps = 4\n")
    command = [
        sys.executable, "-m", "jobs.cli", "run", str(settings), "--triples", str(lake.triples), "--vectors", str(lake.vectors),
        "--out", str(out), "--memory", "4GB", "--quiet", "--json",
    ]  # fmt: skip
    command += ["--workers", str(workers)] if workers else []
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | environment,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = 180) -> tuple[int, str, str]:
    """Wait for a run; returns exit code, standard output and error."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def published(out: Path) -> dict[str, Any]:
    """Return the tables of the newest committed run."""
    return tables_of(out, latest(Store(str(out))))


def assert_whole(out: Path, expected: dict[str, Any]) -> None:
    """The newest run's tables are bit for bit the expected ones, and `eci gc` leaves nothing unfinished."""
    assert same_bytes(published(out), expected) == []
    cleaning.clean(str(out), cleaning.Rules())
    left = [
        p
        for p in out.rglob("*")
        if p.is_file() and (p.name.startswith(".attempt-") or "work" in p.relative_to(out).parts[:1])
    ]
    assert [p.name for p in left if p.name != "LOCK"] == []


def workers_of(driver: int) -> list[psutil.Process]:
    """The worker processes of a driver."""
    try:
        children = psutil.Process(driver).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []
