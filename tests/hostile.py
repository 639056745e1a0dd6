"""A small lake whose source names and texts try to break out of HTML, JSON and chart expressions, run twice."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import polars as pl

from tests.conftest import run_lake
from tests.lakes import vector_lake, write_triples

SCRIPT = "</script><script>console.error('broken out of the page')</script>"
IMAGE = "<img src=https://evil.invalid/x.png onerror=\"console.error('broken out of an attribute')\">"
NAMES = {
    "source 0": SCRIPT,
    "source 1": IMAGE,
    "source 2": "var(--accent)",
    "source 3": "<!-- '\"& {{datum.x}} [datum.y] \\u003c",
    "source 4": "a rather long name of a source, as pipelines make them: " + "x" * 80,
}
TEXT = SCRIPT + "\u2028\u202e" + IMAGE


@cache
def hostile_out() -> Path:
    """Return an output root with two comparable runs and rejects of two reasons, made once for a session."""
    folder = Path(mkdtemp(prefix="eci-hostile-"))
    lake = vector_lake(folder / "lake", dim=8, triples=1200, queries=300)
    # the first words identify a text: the hostile part goes behind them, in the triples and in the vectors alike
    path = folder / "lake" / "triples.parquet"
    rename = {column: pl.concat_str(pl.col(column), pl.lit(TEXT)) for column in ("query", "positive", "negative")}
    frame = pl.read_parquet(path).with_columns(source=pl.col("source").replace(NAMES), **rename)
    vectors = pl.read_parquet(lake.vectors).with_columns(text=pl.concat_str(pl.col("text"), pl.lit(TEXT)))
    vectors.write_parquet(lake.vectors)
    for rows in (800, 1200):
        first = frame.head(rows)
        bad = [(first["query"][0], first["query"][0] + "?", " ", SCRIPT), ("no vector", TEXT, "b", IMAGE)]
        write_triples(path, [*first.select("query", "positive", "negative", "source").iter_rows(), *bad])  # type: ignore[list-item]
        run_lake(folder / "out", path, vectors=(str(lake.vectors),), folds=8)
    return folder / "out"
