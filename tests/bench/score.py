"""The score stage and the exchange against their limits: float64 syrk, and copying the same bytes. One run, ratios.

The lake is made here, with vectors given. The run is stopped before it commits, so that its work files can be measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from eci_sql.moments import BLOCK_ROWS, ROW_BITS, add_residuals
from jobs.machine import available_cores
from jobs.work.job import KEPT
from tests.scale.lake import DIM, generate


def syrk_rows(repeats: int = 7) -> float:
    """Rows a core-second of a bare float64 `b.T @ b` in blocks of BLOCK_ROWS."""
    syrk = _syrk()
    return BLOCK_ROWS * 20 / median(_timed(syrk) for _ in range(repeats))


def sums_share_of_syrk(repeats: int = 15) -> float:
    """The rate of the exact sums, vectors looked up, over that of the bare syrk: each pair of times from one moment."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40_000, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    refs = tuple(rng.integers(0, len(vectors), 20 * BLOCK_ROWS) for _ in range(3))
    s_pos, s_neg = (np.einsum("ij,ij->i", vectors[refs[0]], vectors[ref]).astype(float) for ref in refs[1:])
    weight = rng.uniform(0.01, 0.12, len(s_pos))
    total = np.zeros((DIM, DIM), dtype=np.int64)
    syrk = _syrk()
    return median(
        _timed(syrk) / _timed(lambda: add_residuals(total, vectors, refs, s_pos, s_neg, weight)) for _ in range(repeats)
    )


def _syrk() -> Callable[[], Any]:
    block = np.rint(np.random.default_rng(0).standard_normal((BLOCK_ROWS, DIM)) * 2.0 ** (ROW_BITS - 6))
    return lambda: [block.T @ block for _ in range(20)]


def _timed(function: Any) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def stage_seconds(work: Path, stage: str, clock: str = "cpu_seconds") -> tuple[float, list[dict[str, Any]]]:
    """Core-seconds (or, with "seconds", those by the clock) of a stage's tasks together, and their summaries."""
    folder = work.parents[1] / "cache/inputs" / stage if stage in KEPT else work / stage
    found = [json.loads(path.read_text())["summary"] for path in sorted(folder.glob("*.json"))]
    return sum(summary[clock] for summary in found), found


def copy_seconds(files: list[Path], at_once: int, repeats: int = 3) -> float:
    """Seconds that it takes to copy files, written through to the disk, `at_once` at a time; their clocks together."""

    def copy(file: Path, folder: str) -> float:
        started, target = time.monotonic(), Path(folder) / file.name
        shutil.copyfile(file, target)
        with target.open("rb") as opened:
            os.fsync(opened.fileno())
        return time.monotonic() - started

    def once() -> float:
        with tempfile.TemporaryDirectory(dir=files[0].parent) as folder, ThreadPoolExecutor(at_once) as pool:
            return sum(pool.map(copy, files, repeat(folder)))

    return median(once() for _ in range(repeats))


def measure(rows: int) -> dict[str, float]:
    """Run over a generated lake with a worker a core, and set its stages against the limits."""
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1, "blas"):
        lake = generate(Path(folder) / "lake", rows, files=4)
        out = Path(folder) / "out"
        command = [sys.executable, "-m", "jobs.cli", "run", "--triples", str(lake.triples), "--format", "triples", "--vectors",
                   str(lake.vectors), "--out", str(out), "--workers", str(available_cores()), "--memory", "4GB", "--quiet"]  # fmt: skip
        subprocess.run(
            command, env=os.environ | {"ECI_FAULT_AT": "open:publish/manifest.json:EIO"}, capture_output=True
        )
        (work,) = [path for path in (out / "work").iterdir() if path.is_dir()]
        score, summaries = stage_seconds(work, "score")
        exchange, _ = stage_seconds(work, "exchange", "seconds")
        files = sorted((work / "exchange").glob("*.arrow"))
        syrk = syrk_rows()
        rate = sum(summary["scored"] for summary in summaries) / score
        return {
            "triples": rows,
            "score_triples_per_core_second": round(rate),
            "syrk_rows_per_core_second": round(syrk),
            "exact_sums_share_of_syrk": round(sums_share_of_syrk(), 3),
            "score_share_of_syrk": round(rate / syrk, 3),
            "exchange_megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 1),
            "exchange_share_of_copy": round(copy_seconds(files, available_cores()) / exchange, 3),
            **{f"{name}_us_per_triple": round(stage_seconds(work, name)[0] / rows * 1e6, 2)
               for name in ("ingest", "settle", "collect", "exchange", "score")},
        }  # fmt: skip
