"""Where the real files are, and how a test reads a file whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from jobs.formats import FORMATS, Options

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CASES = SHARED.parent / "cases"


@dataclass(frozen=True)
class Reading:
    """What a file gave: all rows, all rejects, and both counted."""

    name: str
    rows: pl.DataFrame
    rejects: pl.DataFrame

    @property
    def sources(self) -> dict[str | None, int]:
        return dict(Counter(self.rows["source"].to_list()))

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(self.rejects["reason"].to_list()))

    @property
    def records(self) -> int:
        return len(set(self.rows["row"]) | set(self.rejects["row"]))


def read(name: str, path: Path | str, options: Options | None = None) -> Reading:
    """Read a whole file in one format."""
    fmt, options = FORMATS[name], options or Options()
    batches = [batch for unit in fmt.units(str(path), options) for batch in fmt.read(unit, options)]
    return Reading(name, pl.concat([b.rows for b in batches]), pl.concat([b.rejects for b in batches]))
