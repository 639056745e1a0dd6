"""Nights over a lake whose files come and go: each is held against a run from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.finished.result import RunResult
from jobs.output.runs import read_manifest
from jobs.output.store import Store
from tests.conftest import run_lake, same_bytes, tables_of
from tests.lakes import VectorLake, write_triples

Rows = list[tuple[str, str, str, str]]
SETTINGS: dict[str, Any] = {"workers": 0, "folds": 2, "buckets": 2, "no_probe": True, "allow_rejects": True}


class Nights:
    """A lake whose files come and go, the root of its nights, and beside it runs from nothing."""

    def __init__(self, folder: Path, lake: VectorLake) -> None:
        self.folder, self.out, self.files = folder / "triples", folder / "out", dict[str, Rows]()
        self.settings = {**SETTINGS, "vectors": str(lake.vectors)}
        self.triples = str(self.folder)

    def write(self, **files: Rows | None) -> None:
        """Write files, or take them away (None); the others stay untouched."""
        for name, rows in files.items():
            path = self.folder / f"{name}.parquet"
            if rows is None:
                path.unlink()
            else:
                write_triples(path, rows, row_group_size=100)

    def run(self, **more: Any) -> RunResult:
        return run_lake(self.out, self.triples, **{**self.settings, **more})

    def night(self, **more: Any) -> tuple[int, int]:
        """Run, compare with a run from nothing, and return how many units were read and how many had been read before."""
        result = self.run(**more)
        bare = self.out.with_name(f"bare-{len(list(self.out.parent.iterdir()))}")
        right = run_lake(bare, self.triples, **{**self.settings, **more})
        assert same_bytes(tables_of(self.out, result.run_id), tables_of(bare, right.run_id)) == []
        return self.read(result)

    def read(self, result: RunResult) -> tuple[int, int]:
        read = read_manifest(Store(str(self.out)), result.run_id)["stages"]["ingest"]
        return read["tasks"], read["kept"]

    def kept(self) -> dict[str, list[str]]:
        """The tasks that something is kept of, with their files."""
        found: dict[str, list[str]] = {}
        for path in sorted((self.out / "cache/inputs/ingest").iterdir()):
            found.setdefault(path.name.partition(".")[0], []).append(path.name)
        return found
