"""What every run pays beside embedding, against bounds: starting, disk, large dimensions. Ratios, bytes and processor seconds; no wall times.

The yardstick of starting is the processor time of loading the libraries that a run computes with, taken right before and after.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.config import make_config
from jobs.planning.plan import make_plan
from tests.lakes import vector_lake
from tests.scale.lake import DIM, SOURCES, generate

LIBRARIES = "import numpy, pyarrow.parquet, duckdb, polars, scipy.linalg"
DEMO_ROWS = 23_357
MANY_ROWS = 100_000
DIMENSIONS, DEEP_SOURCES = (768, 1024, 2048, 4096), 10
REPEATS = 3


@dataclass(frozen=True)
class Line:
    """A measured value and what it may be at most."""

    what: str
    value: float
    bound: float

    def __str__(self) -> str:
        """Return it as a line of the table."""
        return (
            f"{self.what:<96} {self.value:>8.2f} {self.bound:>8.2f}  {'ok' if self.value <= self.bound else 'BROKEN'}"
        )


def cpu_seconds(arguments: list[str]) -> float:
    """Processor seconds of a Python process and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def over_libraries(*commands: list[str]) -> float:
    """Median of a command's processor time over that of loading the libraries; each of `commands` does the same anew."""
    return median(cpu_seconds(command) / cpu_seconds(["-c", LIBRARIES]) for command in commands)


def start(folder: Path) -> list[Line]:
    """What a run over 100 triples, and the commands that read it, take."""
    lake = vector_lake(folder / "small", DIM, 100, sources=2)
    eci = ["-m", "jobs.cli"]
    given = ["--triples", str(lake.triples), "--vectors", str(lake.vectors), "--quiet"]
    outs = [str(folder / f"out-{k}") for k in range(REPEATS)]
    ran = over_libraries(*([*eci, "run", *given, "--out", out] for out in outs))
    found = [Line("eci run on 100 triples with vectors, over loading the libraries", ran, 3)]
    for command in (["rank"], ["status"], ["sql", "FROM source_eci"]):
        took = over_libraries(*[[*eci, *command, "--out", outs[0]]] * REPEATS)
        found.append(Line(f"eci {command[0]}, over loading the libraries", took, 0.5))
    return found


def published(out: Path) -> dict[str, int]:
    """Bytes of a root's only run, by table; all of its folder under ''."""
    (manifest,) = out.glob("runs/*/manifest.json")
    found: dict[str, int] = {"": sum(path.stat().st_size for path in manifest.parent.rglob("*") if path.is_file())}
    for file in json.loads(manifest.read_text())["files"]:
        found[file["table"]] = found.get(file["table"], 0) + file["bytes"]
    return found


def disk(folder: Path) -> list[Line]:
    """What a run over as many triples as the demo's publishes, and a small one of many dimensions."""
    lake, out = generate(folder / "lake", DEMO_ROWS, files=2), folder / "out"
    found = _disk(f"{DEMO_ROWS:,} triples, d = {DIM}", lake.triples, lake.vectors, out, DIM, SOURCES)
    found.append(Line("megabytes that it publishes", published(out)[""] / 1e6, 25))
    return found


def large_dimensions(folder: Path) -> list[Line]:
    """What few triples of many sources take where vectors are long, by stage; and many triples, at one dimension."""
    found = []
    for dim in DIMENSIONS:
        lake, out = vector_lake(folder / f"lake-{dim}", dim, 100, sources=DEEP_SOURCES), folder / f"out-{dim}"
        name = f"100 triples, d = {dim:,}"
        found += _disk(name, lake.triples, lake.vectors, out, dim, DEEP_SOURCES)
        stages = stages_of(out, name)
        most = max(stage["peak_bytes"] for stage in stages.values()) - min(s["peak_bytes"] for s in stages.values())
        found.append(
            Line(
                f"peak beyond that of reading, over 8 d^2 bytes and 64 MB: {name}", most / (8 * dim**2 + (64 << 20)), 6
            )
        )
        took = sum(stages[name]["cpu_seconds"] for name in ("information", "mixture", "moments")) / DEEP_SOURCES
        found.append(
            Line(
                f"what follows the scores, by source, over a (d, d) product and 0.1 s: {name}",
                took / (_product(dim) + 0.1),
                1,
            )
        )
    lake, out = generate(folder / "many", MANY_ROWS, files=2), folder / "many-out"
    _disk("", lake.triples, lake.vectors, out, DIM, SOURCES)
    took = stages_of(out, f"{MANY_ROWS:,} triples, d = {DIM}")["information"]["cpu_seconds"] / SOURCES
    found.append(
        Line(
            f"information by source and fold, over a (d, d) product: {MANY_ROWS:,} triples",
            took / 33 / _product(DIM),
            2,
        )
    )
    return found


def stages_of(out: Path, name: str) -> dict[str, Any]:
    """Return the stages of a root's only run, and print the time and memory of each."""
    (manifest,) = out.glob("runs/*/manifest.json")
    stages: dict[str, Any] = json.loads(manifest.read_text())["stages"]
    sys.stdout.write(f"{name}\n")
    for stage, said in stages.items():
        sys.stdout.write(
            f"  {stage:<12} {said['cpu_seconds']:>7.2f} s of processor {said['peak_bytes'] / 1e6:>6.0f} MB\n"
        )
    return stages


def _product(dim: int) -> float:
    """Core-seconds of a (d, d) float64 product."""
    square = np.random.default_rng(0).standard_normal((dim, dim))

    def once() -> float:
        started = time.process_time()
        _ = square @ square.T[:, ::-1]
        return time.process_time() - started

    with threadpool_limits(1, "blas"):
        return median(once() for _ in range(3))


def _disk(name: str, triples: Path, vectors: Path, out: Path, dim: int, sources: int) -> list[Line]:
    given = ["--triples", str(triples), "--vectors", str(vectors), "--out", str(out)]
    options = ["--format", "triples", "--quiet", "--no-probe", "--allow-rejects"]
    took = cpu_seconds(["-m", "jobs.cli", "run", *given, *options])
    values: dict[str, Any] = {"inputs": [{"triples": str(triples), "format": "triples"}], "vectors": str(vectors)}
    plan = make_plan(make_config({**values, "no_probe": True, "out": str(out.with_name("nowhere"))}))
    bytes_of = published(out)
    tables = sum(size for table, size in bytes_of.items() if table)
    processor = plan["seconds"] * (1 if plan["without_workers"] else plan["workers"])
    return [
        Line(f"bytes of moments for each matrix entry: {name}", bytes_of["moments"] / (2 * sources * dim**2), 4),
        Line(f"eci plan's bytes over the truth, or below: {name}", _off(plan["bytes_published"], tables), 1.5),
        Line(f"eci plan's processor seconds over the truth, or below: {name}", _off(processor, took), 1.5),
    ]


def show(lines: list[Line]) -> int:
    """Print a table; returns 1 where a bound is broken."""
    sys.stdout.write(f"{'':<96} {'value':>8} {'bound':>8}\n")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return int(any(line.value > line.bound for line in lines))


def _off(said: float, true: float) -> float:
    return max(said / true, true / said)


def main() -> int:
    """Print what starting and disk take; returns 1 where a bound is broken."""
    os.environ.pop("ECI_OUT", None)
    with tempfile.TemporaryDirectory() as folder:
        return show([*start(Path(folder)), *disk(Path(folder)), *large_dimensions(Path(folder))])


if __name__ == "__main__":
    sys.exit(main())
