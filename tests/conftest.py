"""What tests share: the folder of real data beside the repository, runs, and comparing published tables."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.config import make_config
from jobs.finished.result import RunResult
from jobs.output.sealed import sealed, unsealed
from jobs.pipeline.run import run
from tests.attack import counted, pytest_collection_modifyitems, pytest_configure, pytest_terminal_summary
from tests.formats.reading import CASES
from tests.lakes import VectorLake, vector_lake

__all__ = ["counted", "pytest_collection_modifyitems", "pytest_configure", "pytest_terminal_summary"]

SHARED = Path(__file__).parents[2] / "shared" / "data"
DIFFER = ("run_id", "created_at")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real collections, where they are there."""
    if not SHARED.is_dir():
        pytest.skip("the folder shared/data with real collections is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> VectorLake:
    """600 triples of three sources with vectors of 16 dimensions; enough queries to try the sources out."""
    return vector_lake(tmp_path_factory.mktemp("lake"), 16, 600, sources=3, queries=300)


def run_lake(out: Path, triples: Any, **settings: Any) -> RunResult:
    """Run over triples (a path or glob) into OUT, with real worker processes."""
    inputs = settings.pop("inputs", [{"triples": str(triples)}])
    defaults = {"workers": 2, "memory": "4GB"}
    return run(make_config({"inputs": inputs, "out": str(out), **defaults, **settings}))


@pytest.fixture
def eci(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user does: `eci("rank", "--out", out)`; the working folder is a new one."""

    def call(*arguments: Any, **extra: Any) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"ECI_OUT": ""} | extra
        environment.pop("ECI_OUT", None)
        return subprocess.run(
            [sys.executable, "-m", "jobs.cli", *map(str, arguments)],
            capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300,
        )  # fmt: skip

    return call


def tables_of(out: Path, run_id: str) -> dict[str, Any]:
    """Return every published Parquet file of a run as (path, rows without what differs between runs by design)."""
    import pyarrow.parquet as pq

    root = out / "runs" / run_id
    found = {}
    for path in sorted(root.rglob("*.parquet")):
        table = pq.read_table(path)
        kept = [name for name in table.column_names if name not in DIFFER]
        found[str(path.relative_to(root))] = table.select(kept)
    return found


def signed_again(folder: Path) -> None:
    """Make the manifest of a run's folder say what its files are now, as if they had been written so."""
    path = folder / "manifest.json"
    manifest = unsealed(path.read_text(encoding="utf-8"))
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(sealed(manifest)), encoding="utf-8")


def same_bytes(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return the files that are not there on both sides, or whose columns differ in any bit."""
    import pyarrow as pa

    different = sorted(set(a) ^ set(b))
    for path in sorted(set(a) & set(b)):
        buffers = []
        for table in (a[path], b[path]):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as out:
                out.write_table(table.combine_chunks())
            buffers.append(sink.getvalue().to_pybytes())
        if buffers[0] != buffers[1]:
            different.append(path)
    return different


@pytest.fixture
def cases() -> Path:
    """The folder of inputs that were read wrongly once; tests that need it are skipped where it is absent."""
    if not CASES.is_dir():
        pytest.skip(f"the handed cases are not at {CASES} (they are not part of the repository)")
    return CASES
