"""Runs as child processes that can be killed, over a small lake of vectors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from jobs.commit import latest
from jobs.store import Store
from tests.conftest import same_bytes, tables_of
from tests.lakes import VectorLake


def start(lake: VectorLake, out: Path, workers: int = 1, **environment: str) -> subprocess.Popen[str]:
    """Start `eci run` in a process group of its own."""
    command = [
        sys.executable, "-m", "jobs.cli", "run", "--triples", str(lake.triples), "--vectors", str(lake.vectors),
        "--out", str(out), "--folds", "4", "--workers", str(workers), "--memory", "4GB", "--quiet", "--json",
    ]  # fmt: skip
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
    """The newest run's tables are bit for bit the expected ones, and nothing unfinished is left."""
    assert same_bytes(published(out), expected) == []
    left = [p for p in out.rglob("*") if p.is_file() and (p.name.startswith(".attempt-") or "work" in p.relative_to(out).parts[:1])]
    assert [p.name for p in left if p.name != "LOCK"] == []
