"""One small lake, run once with hybrids and with the information of each triple."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.finished.result import RunResult
from tests.conftest import run_lake
from tests.lakes import VectorLake, vector_lake

HYBRID = ("source 0", "source 2")


@dataclass(frozen=True)
class Decided:
    """A lake, the output root, and the run over it."""

    lake: VectorLake
    out: Path
    run: RunResult


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Decided:
    folder = tmp_path_factory.mktemp("decide")
    lake = vector_lake(folder / "lake", 24, 3_000)
    run = run_lake(
        folder / "out",
        lake.triples,
        vectors=str(lake.vectors),
        hybrids={"pooled": HYBRID, "all-pairs": ()},
        information=True,
        folds=8,
    )
    return Decided(lake, folder / "out", run)
