"""One small lake with a run over a sample, a run that was asked for all of the order, and ablations of the second."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobs.decide.ablation import ablate
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from jobs.reports.data import ReportData, read_report
from jobs.terminal.progress import Silent
from tests.conftest import run_lake
from tests.lakes import vector_lake


@dataclass(frozen=True)
class Runs:
    """The output root and the ids of its runs."""

    out: str
    sampled: str
    asked: str

    def data(self, run_id: str) -> ReportData:
        store = Store(self.out)
        return read_report(store, f"runs/{run_id}", read_manifest(store, run_id), 1 << 28, 1)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("sampled")
    lake = vector_lake(folder / "lake", dim=8, triples=2400, queries=300)
    settings = {"vectors": str(lake.vectors), "folds": 8}
    sampled = run_lake(folder / "out", lake.triples, sample_queries=20, **settings)
    asked = run_lake(folder / "out", lake.triples, until_decided=0.999, decide="all", tolerance=0.0001, **settings)
    ablate(str(folder / "out"), Silent(), only=("sample", "temperature", "without"))
    return Runs(str(folder / "out"), sampled.run_id, asked.run_id)
