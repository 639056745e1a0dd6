"""The demonstration lake: real triples from the documentation of the installed libraries.

Covers: pairs, their embeddings, eight sources of negatives, and Parquet files of triples as a user
would have them. One of the sources is polluted on purpose, so that a score has something to find.

Does not cover: scoring the lake; that is an ordinary run over the files written here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.demo.docstrings import sentences
from jobs.demo.documentation import DocPair, collect_pairs
from jobs.errors import InputError
from jobs.retrieval.negatives import (
    band_negatives,
    group_negatives,
    positive_aware_negatives,
    random_negatives,
    shuffled,
)
from jobs.retrieval.rankings import MISSING, Floats, Indices, Labels, bm25_rank, dense_rank
from jobs.terminal.progress import timed

Embed = Callable[[list[str], str], Floats]
Report = Callable[[str], None]

BAND = (20, 40)
DEPTH = 200
ROW_GROUP = 1024
TRIPLE_COLUMNS = ("query", "positive", "negative", "source")


@dataclass(frozen=True)
class LakeSummary:
    """What `build_lake` wrote.

    Attributes:
        pairs: (query, positive) pairs found.
        triples: rows written for each source, in order of name.
        files: the Parquet files, in the same order.
        seconds: wall time of each step.
    """

    pairs: int
    triples: dict[str, int]
    files: tuple[Path, ...]
    seconds: dict[str, float] = field(compare=False)


def build_lake(out_dir: Path, embed: Embed, pairs: int = 4000, report: Report | None = None) -> LakeSummary:
    """Write `out_dir`/triples/<source>.parquet for eight sources over at most `pairs` pairs.

    Args:
        out_dir: made where it is missing; files of a former lake are replaced.
        embed: takes n texts and their side, `query` or `passage`; returns (n, d) float32,
            L2-normalised.
        pairs: at most this many pairs; an installation may have fewer.
        report: called with one line after each step, if given.

    Raises:
        ValueError: if `pairs` is below 1 or `embed` returns another number of vectors than texts.
        InputError: if no documentation is found.
    """
    seconds: dict[str, float] = {}
    with timed("documentation", seconds, report):
        docs = collect_pairs(pairs)
    if not docs:
        raise InputError("no docstrings found: the installed libraries have no sources; give `eci run` triples")
    with timed("embedding", seconds, report):
        vectors = [_embedded(embed, [d.query for d in docs], "query")]
        vectors.append(_embedded(embed, [d.positive for d in docs], "passage"))
    with timed("mining", seconds, report):
        mined = mine_sources(docs, vectors[0], vectors[1])
    with timed("writing", seconds, report):
        files = [_write_source(out_dir / "triples", name, rows) for name, rows in mined.items()]
    counts = {name: len(rows) for name, rows in mined.items()}
    return LakeSummary(len(docs), counts, tuple(files), seconds)


def mine_sources(
    docs: Sequence[DocPair], query_vectors: Floats, passage_vectors: Floats
) -> dict[str, list[tuple[str, str, str]]]:
    """Return the (query, positive, negative) triples of each source, sources in order of name.

    Args:
        docs: Q pairs, queries and positives distinct.
        query_vectors: (Q, d) float32, L2-normalised.
        passage_vectors: (Q, d) float32, L2-normalised, of the positives.
    """
    queries = [doc.query for doc in docs]
    passages = [doc.positive for doc in docs]
    labels: Labels = [{row} for row in range(len(docs))]
    lexical = bm25_rank(queries, passages, BAND[1], labels)
    dense, similarities = dense_rank(query_vectors, passage_vectors, DEPTH, labels)
    own = np.einsum("ij,ij->i", query_vectors, passage_vectors)
    modules = [doc.module for doc in docs]
    indices = {
        "random": random_negatives(queries, len(docs), labels),
        "bm25-top": band_negatives(queries, lexical, 1, 1, labels),
        "bm25-band": band_negatives(queries, lexical, *BAND, labels),
        "dense-top": band_negatives(queries, dense, 1, 1, labels),
        "dense-band": band_negatives(queries, dense, *BAND, labels),
        "dense-aware": positive_aware_negatives(dense, similarities, own, labels),
        "same-module": group_negatives(queries, modules, modules, labels),
    }
    texts = {name: _texts(chosen, passages) for name, chosen in indices.items()}
    texts["polluted"] = pollute(docs, texts["bm25-band"])
    return {name: _triples(docs, texts[name]) for name in sorted(texts)}


def pollute(docs: Sequence[DocPair], negatives: Sequence[str | None]) -> list[str | None]:
    """Replace half of the negatives by a false one: the positive without its last sentence."""
    polluted = list(negatives)
    for row, doc in enumerate(docs):
        if next(shuffled(2, doc.query, seed=1)) == 0:
            polluted[row] = shortened(doc.positive)
    return polluted


def shortened(text: str) -> str:
    """Return the text without its last sentence, of a single sentence the first two thirds."""
    kept = sentences(text)[:-1]
    words = text.split()
    return " ".join(kept) if kept else " ".join(words[: max(1, 2 * len(words) // 3)])


def _texts(chosen: Indices, passages: Sequence[str]) -> list[str | None]:
    return [None if index == MISSING else passages[index] for index in chosen[:, 0]]


def _triples(docs: Sequence[DocPair], negatives: Sequence[str | None]) -> list[tuple[str, str, str]]:
    return [
        (doc.query, doc.positive, negative)
        for doc, negative in zip(docs, negatives, strict=True)
        if negative is not None
    ]


def _embedded(embed: Embed, texts: list[str], side: str) -> Floats:
    vectors = embed(texts, side)
    if len(vectors) != len(texts):
        raise ValueError(f"embed returned {len(vectors)} vectors for {len(texts)} texts ({side})")
    return vectors


def _write_source(folder: Path, source: str, rows: Sequence[tuple[str, str, str]]) -> Path:
    """Write one source's triples beside the final name, then rename."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    columns.append([source] * len(rows))
    arrays = [pa.array(column, pa.string()) for column in columns]
    table = pa.Table.from_arrays(arrays, names=list(TRIPLE_COLUMNS))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source}.parquet"
    unfinished = folder / f".{source}.parquet.{os.getpid()}"
    try:
        pq.write_table(table, unfinished, row_group_size=ROW_GROUP, compression="zstd")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
