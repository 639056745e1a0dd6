"""Small lakes of triples that tests run on: made here, from a seed, with what real ones have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = [
    f"{a}{b}" for a in ("al", "be", "ga", "de", "ep", "ze", "et", "th") for b in ("pha", "ta", "mma", "lta", "silon")
]


@dataclass(frozen=True)
class VectorLake:
    """Triples with texts, and a vector for every text. `queries` and `passages`: text -> vector (d,) float32."""

    triples: Path
    vectors: Path
    rows: list[tuple[str, str, str, str]]
    queries: dict[str, np.ndarray]
    passages: dict[str, np.ndarray]

    def command(self, *more: str) -> list[str]:
        """Return the arguments of a small run over the lake, into `out` in the working folder."""
        given = ["--triples", str(self.triples), "--vectors", str(self.vectors)]
        return ["run", *given, "--out", "out", "--folds", "4", "--memory", "4GB", *more]


def vector_lake(
    folder: Path, dim: int, triples: int, sources: int = 5, seed: int = 0, queries: int | None = None
) -> VectorLake:
    """Write `triples` distinct triples of `sources` sources that differ in how near their negatives are.

    Positives lie near their queries; a source's negatives lie near them, too, by its own measure, so that weights of
    both signs come up. No negative is a labelled positive.
    """
    rng = np.random.default_rng(seed)
    queries, negatives = queries or max(triples // 20, 40), max(triples // 8, 80)
    base = rng.standard_normal((queries, dim))
    query_texts = [f"query {i} {_text(rng)}" for i in range(queries)]
    positive_texts = [f"passage {i} {_text(rng)}" for i in range(queries)]
    positive_vectors = base + 0.7 * rng.standard_normal((queries, dim))
    negative_texts, negative_vectors = [], []
    rows: set[tuple[int, int]] = set()
    for k in range(negatives):
        near = int(rng.integers(queries))
        negative_texts.append(f"negative {k} {_text(rng)}")
        negative_vectors.append(base[near] + (0.65 + 0.15 * (k % sources)) * rng.standard_normal(dim))
        rows.add((near, k))
    while len(rows) < triples:
        rows.add((int(rng.integers(queries)), int(rng.integers(negatives))))
    ordered = sorted(rows)[:triples]
    listed = [
        (query_texts[q], positive_texts[q], negative_texts[n], f"source {n % sources}")
        for q, n in (ordered[i] for i in rng.permutation(len(ordered)))
    ]
    passages = dict(
        zip(positive_texts + negative_texts, np.concatenate([positive_vectors, negative_vectors]), strict=True)
    )
    lake = VectorLake(
        folder / "triples.parquet",
        folder / "vectors.parquet",
        listed,
        {t: v.astype(np.float32) for t, v in zip(query_texts, base, strict=True)},
        {t: v.astype(np.float32) for t, v in passages.items()},
    )
    write_triples(lake.triples, listed)
    write_vectors(lake.vectors, lake.queries, lake.passages)
    return lake


def _text(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(WORDS, int(rng.integers(3, 12))).tolist())


def write_triples(path: Path, rows: list[tuple[str, str, str, str]], row_group_size: int = 4096) -> None:
    """Write rows of (query, positive, negative, source) as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 4
    table = pa.table(dict(zip(("query", "positive", "negative", "source"), map(list, columns), strict=True)))
    pq.write_table(table, path, row_group_size=row_group_size)


def write_vectors(path: Path, queries: dict[str, np.ndarray], passages: dict[str, np.ndarray]) -> None:
    """Write a vectors file: text, side, vector."""
    side = ["query"] * len(queries) + ["passage"] * len(passages)
    vectors = pa.array([v.tolist() for v in (*queries.values(), *passages.values())], pa.list_(pa.float32()))
    pq.write_table(pa.table({"text": [*queries, *passages], "side": side, "vector": vectors}), path)
