"""What the tests of Iceberg share, and what `make lake` says at its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.lake.figures import SAID, versions


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if "ECI_LAKE" in os.environ:
        terminalreporter.section("make lake")
        for line in (*SAID, f"readers and writers: {versions()}"):
            terminalreporter.write_line(line)


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A catalog `nightly` on SQLite, without a namespace; other processes find it by their environment."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    (tmp_path / "warehouse").mkdir()
    monkeypatch.setenv("PYICEBERG_CATALOG__NIGHTLY__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__NIGHTLY__WAREHOUSE", f"file://{tmp_path}/warehouse")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # it is read once a process
    return load_catalog("nightly")
