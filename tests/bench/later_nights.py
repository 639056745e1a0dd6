"""What later nights cost, as ratios of processor seconds to the first: `python -m tests.bench.later_nights` by itself.

Two lakes: one of given vectors, 200,000 triples, and one of few long texts, where the encoder takes most of the time. A night
brings 1 % more triples, which are those of 1 % of the queries, with texts of their own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.costs import Line, cpu_seconds, over_libraries, show
from tests.lakes import write_triples
from tests.scale.lake import generate

NEW = 100
"""Of so many queries one comes with the second night."""
ROWS = 200_000
TEXTS, QUERIES, WORDS = 4_000, 500, 170


def of_vectors(folder: Path) -> list[Line]:
    """A night over given vectors: all of it, and what it takes to read the input; then one with nothing new."""
    source, triples, vectors = (
        generate(folder / "source", ROWS, files=1, heavy=0),
        folder / "triples",
        folder / "vectors",
    )
    table = pq.read_table(source.triples)
    queries = table["query"].combine_chunks().dictionary_encode().indices.to_numpy()
    tonight = queries % NEW == 0
    first = _used(table.filter(pa.array(~tonight)))
    triples.mkdir()
    vectors.mkdir()
    pq.write_table(table.filter(pa.array(~tonight)), triples / "first.parquet", row_group_size=50_000)
    held = {path.name: pq.read_table(path) for path in sorted(source.vectors.glob("*.parquet"))}
    known = {name: pa.array([text in first for text in of["text"].to_pylist()]) for name, of in held.items()}
    for name, of in held.items():
        pq.write_table(of.filter(known[name]), vectors / name, row_group_size=20_000)
    out = folder / "out"
    command = ["-m", "jobs.cli", "run", "--triples", str(triples), "--format", "triples", "--vectors", str(vectors),
               "--out", str(out), "--quiet", "--no-probe", "--allow-rejects"]  # fmt: skip
    whole, read = cpu_seconds(command), _reading(out)
    pq.write_table(table.filter(pa.array(tonight)), triples / "second.parquet")
    for name, of in held.items():
        pq.write_table(of.filter(pa.compute.invert(known[name])), vectors / f"more-{name}")
    again, read_again = cpu_seconds(command), _reading(out)
    kept = sum(path.stat().st_size for path in (out / "cache/inputs").rglob("*") if path.is_file())
    given = sum(path.stat().st_size for path in triples.iterdir())
    return [
        Line(f"1 % more of {ROWS:,} triples, vectors given: the night over the first", again / whole, 0.4),
        Line("  reading the triples, the night over the first", read_again / read, 0.1),
        Line("  bytes kept of the triples, over those of their files", kept / given, 1),
        Line("  a run with nothing new, over loading the libraries", over_libraries(*[command] * 3), 3),
    ]


def _used(table: pa.Table) -> set[str]:
    return {text for name in ("query", "positive", "negative") for text in table[name].unique().to_pylist()}


def _reading(out: Path) -> float:
    """Processor seconds of the stage `ingest` in the newest run."""
    run = (out / "LATEST").read_text().strip()
    stages = json.loads((out / "runs" / run / "manifest.json").read_text())["stages"]
    return float(stages["inputs"]["cpu_seconds"] + stages["ingest"]["cpu_seconds"])


def of_texts(folder: Path) -> list[Line]:
    """A night over texts of 256 tokens: the encoder takes nearly all of the first."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("al", "be", "ga", "de", "ep") for b in ("pha", "ta", "mma", "lta", "silon")]
    passages = [f"{i} {' '.join(rng.choice(words, WORDS))}" for i in range(TEXTS)]
    rows = [
        (f"query {q}", passages[q], passages[QUERIES + 7 * q + k], f"source {k % 2}")
        for q in range(QUERIES)
        for k in range(7)
    ]
    cut = len(rows) - len(rows) // NEW
    write_triples(folder / "texts" / "first.parquet", rows[:cut])
    command = [
        "-m",
        "jobs.cli",
        "run",
        "--triples",
        str(folder / "texts"),
        "--out",
        str(folder / "texts-out"),
        "--quiet",
    ]
    whole = cpu_seconds(command)
    write_triples(folder / "texts" / "second.parquet", rows[cut:])
    return [Line("1 % more triples of long texts: the night over the first", cpu_seconds(command) / whole, 0.1)]


def main() -> int:
    """Print the table; returns 1 where a bound is broken."""
    with tempfile.TemporaryDirectory() as folder:
        return show([*of_vectors(Path(folder)), *of_texts(Path(folder))])


if __name__ == "__main__":
    sys.exit(main())
