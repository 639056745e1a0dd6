"""Lakes of millions of triples for `make scale`: skewed as real ones are, vectors given so that no encoder is measured.

Passages are drawn by Zipf, a few queries have 100,000 triples, passages have 1 to 400 words. Triples hold texts; the
files are Parquet, written source by source in row groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

DIM = 384
SOURCES = 8
WORDS = 20_000
BLOCK = 50_000


@dataclass(frozen=True)
class BigLake:
    """A generated lake: folders of triples and of vectors."""

    triples: Path
    vectors: Path
    rows: int


def generate(folder: Path, rows: int, files: int = 8, seed: int = 1, heavy: int = 2) -> BigLake:
    """Write a lake of `rows` triples in `files` files, with rows/8 passages and rows/40 queries.

    `heavy` queries have 100,000 triples each (or a tenth of all, if that is less).
    """
    rng = np.random.default_rng(seed)
    queries, passages = max(rows // 40, 100), max(rows // 8, 500)
    query_texts = pa.array([f"q{i} {_words(rng, 3, 12)}" for i in range(queries)], pa.large_string())
    passage_texts = pa.array([f"p{i} {_words(rng, 1, 400, 4)}" for i in range(passages)], pa.large_string())
    _write_triples(folder / "triples", rng, rows, files, query_texts, passage_texts, heavy)
    _write_vectors(folder / "vectors", rng, query_texts, passage_texts)
    return BigLake(folder / "triples", folder / "vectors", rows)


def _words(rng: np.random.Generator, low: int, high: int, skew: int = 1) -> str:
    """Return between `low` and `high` words; `skew` makes long texts rare."""
    count = low + int((high - low) * rng.random() ** skew)
    return " ".join(f"w{int(x)}" for x in WORDS * rng.random(count) ** 3)


def _write_triples(
    folder: Path, rng: np.random.Generator, rows: int, files: int, queries: pa.Array, passages: pa.Array, heavy: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        [(name, pa.large_string()) for name in ("query", "positive", "negative")] + [("source", pa.string())]
    )
    heavy_rows = min(100_000, rows // 10) * heavy
    cuts = np.linspace(0, rows, files + 1).astype(int)
    for k in range(files):
        with pq.ParquetWriter(folder / f"part-{k:05d}.parquet", schema, compression="zstd") as writer:
            for start in range(int(cuts[k]), int(cuts[k + 1]), BLOCK):
                n = min(BLOCK, int(cuts[k + 1]) - start)
                number = np.arange(start, start + n)
                query = np.where(number < heavy_rows, number % max(heavy, 1), rng.integers(0, len(queries), n))
                negative = (len(passages) * rng.random(n) ** 3).astype(np.int64)
                source = [f"source-{int(s)}" for s in (query + negative + rng.integers(0, 3, n)) % SOURCES]
                columns = [queries.take(pa.array(query)), passages.take(pa.array(query % len(passages))),
                           passages.take(pa.array(negative)), pa.array(source)]  # fmt: skip
                writer.write_table(pa.table(columns, schema=schema))


def _write_vectors(folder: Path, rng: np.random.Generator, queries: pa.Array, passages: pa.Array) -> None:
    """Write vectors: a query near the passage of its number, so that weights of both signs come up."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("text", pa.large_string()), ("side", pa.string()), ("vector", pa.list_(pa.float32(), DIM))])
    basis = rng.standard_normal((64, DIM)).astype(np.float32)
    for side, texts in (("query", queries), ("passage", passages)):
        with pq.ParquetWriter(folder / f"{side}.parquet", schema, compression="none", use_dictionary=False) as writer:
            for start in range(0, len(texts), BLOCK):
                n = min(BLOCK, len(texts) - start)
                number = np.arange(start, start + n)
                near = np.sin(number[:, None] * np.arange(1, 65)).astype(np.float32) @ basis
                matrix = near + 3 * rng.standard_normal((n, DIM)).astype(np.float32)
                flat = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), DIM)
                writer.write_table(pa.table([texts.slice(start, n), pa.repeat(side, n), flat], schema=schema))
