"""The tables that a local run makes of the small lake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import run_lake, tables_of
from tests.lakes import VectorLake


@pytest.fixture(scope="session")
def local_tables(small_lake: VectorLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("local") / "out"
    result = run_lake(out, small_lake.triples, vectors=str(small_lake.vectors), folds=4, buckets=2)
    return tables_of(out, result.run_id)
