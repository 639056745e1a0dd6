"""Eleven sources of negatives for a collection's training queries, and those that a user brings as files.

Every source gives each (query, positive) pair at most `per_query` negatives, all from the training part of the
collection, so that sources differ in which negatives they choose and not in how many.

Does not cover: a cross-encoder; its band comes from a run file that the user gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError
from jobs.formats import format_named
from jobs.formats.base import Options
from jobs.formats.recognise import recognise
from jobs.formats.sbert_hard_negatives import SbertHardNegatives, passages_are_ids
from jobs.formats.source_names import named_path
from jobs.retrieval.collection import Collection, Texts
from jobs.retrieval.negatives import band_negatives, positive_aware_negatives, random_negatives
from jobs.retrieval.rankings import MISSING, Floats, bm25_rank, dense_rank
from jobs.validation.splits import Split

BAND, FAR_BAND = (20, 40), (100, 200)
AWARE_SHARE = 0.95
MOST_POSITIVES = 4
PIECE_WORDS = 50

Indices = NDArray[np.int64]


@dataclass
class Training:
    """The training side with indices of its own.

    Attributes:
        queries: Q texts.  passages: the training documents, then texts that only a source has.
        relevant: for each query the passages labelled relevant.
        query, positive: (n,) the pairs, at most MOST_POSITIVES a query (best grade first).
        negatives: for each source (n, k) passages, MISSING for none.
    """

    queries: list[str]
    passages: list[str]
    relevant: list[set[int]]
    query: Indices
    positive: Indices
    negatives: dict[str, Indices] = field(default_factory=dict)

    def triples(self, source: str) -> Iterator[tuple[str, str, str]]:
        """Yield the (query, positive, negative) texts of a source."""
        for query, positive, row in zip(self.query, self.positive, self.negatives[source].tolist(), strict=True):
            for negative in row:
                if negative != MISSING:
                    yield self.queries[query], self.passages[positive], self.passages[negative]


def training_side(collection: Collection, split: Split) -> Training:
    """Return the training queries and documents of a divided collection, without sources yet."""
    local = {document: i for i, document in enumerate(split.train_documents.tolist())}
    graded = [
        sorted((-grade, local[d]) for d, grade in collection.relevant[query].items() if d in local)
        for query in split.train.tolist()
    ]
    pairs = [(row, p) for row, found in enumerate(graded) for _, p in found[:MOST_POSITIVES]]
    query, positive = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Training(
        queries=[collection.queries.texts[i] for i in split.train.tolist()],
        passages=[collection.documents.texts[i] for i in split.train_documents.tolist()],
        relevant=[{p for _, p in found} for found in graded],
        query=query,
        positive=positive,
    )


def mine(training: Training, query_vectors: Floats, passage_vectors: Floats, per_query: int) -> dict[str, int]:
    """Add the eleven sources to `training`, and the texts of the polluted one to its passages.

    Args:
        training: from `training_side`.
        query_vectors: (Q, d) float32 unit vectors.  passage_vectors: (P, d) of the training documents.
        per_query: negatives k for each pair, at least 2.

    Returns:
        The number of negatives that were wanted and not there, by source.
    """
    queries, labels, k, size = training.queries, training.relevant, per_query, len(training.passages)
    depth = min(FAR_BAND[1], size)
    band, far = (_within(limits, depth, k) for limits in (BAND, FAR_BAND))
    lexical = bm25_rank(queries, training.passages, min(BAND[1], depth), labels)
    dense, similarities = dense_rank(query_vectors, passage_vectors, depth, labels)
    raw, _ = dense_rank(query_vectors, passage_vectors, k)
    own = np.array(
        [(passage_vectors[sorted(found)] @ query_vectors[row]).max() for row, found in enumerate(labels)],
        dtype=np.float32,
    )
    chosen: dict[str, NDArray[np.int32]] = {
        "random": random_negatives(queries, size, labels, k=k),
        "bm25-top": lexical[:, :k],
        "bm25-20-40": band_negatives(queries, lexical, *band, labels, k=k),
        "dense-top": dense[:, :k],
        "dense-20-40": band_negatives(queries, dense, *band, labels, k=k),
        "dense-100-200": band_negatives(queries, dense, *far, labels, k=k),
        "dense-aware-0.95": positive_aware_negatives(dense, similarities, own, labels, share=AWARE_SHARE, k=k),
        "dense-unfiltered": raw,
    }
    half = k // 2
    chosen["bm25+dense"] = _halves(chosen["bm25-top"], chosen["dense-top"], k - half)
    chosen["dense+random"] = _halves(chosen["dense-top"], chosen["random"], k - half)
    for name, of_query in chosen.items():
        training.negatives[name] = of_query.astype(np.int64)[training.query]
    training.negatives["half-polluted"] = _polluted(training, training.negatives["bm25-20-40"], half)
    return {name: int((found == MISSING).sum()) for name, found in training.negatives.items()}


def read_negatives(
    training: Training, collection: Collection, given: str, ranks: str | None, per_query: int
) -> list[str]:
    """Add the sources of a user's file to `training`, and the texts that only it has to the passages.

    Args:
        training: from `training_side`.  collection: whose ids the file uses.
        given: a path, or NAME=PATH. A run file or any format of training triples; texts or the collection's ids.
        ranks: for run files, such as 20:40.
        per_query: negatives taken for each query, in the file's order.

    Returns:
        The names of the sources.

    Raises:
        InputError: the file is not readable, or has nothing for the training queries.
    """
    name, path = named_path(given)
    first, _, last = (ranks or "1:10").partition(":")
    options = Options(source=name, ranks=(int(first), int(last)), qrels=collection.qrels)
    kind = format_named(recognise(path))
    if kind.name == SbertHardNegatives.name:
        index = collection.documents.index
        as_ids = passages_are_ids(path, lambda strings: sum(string in index for string in strings))
        options = Options(source=name, corpus=("collection",), as_ids=as_ids)
    queries = {text: row for row, text in enumerate(training.queries)}
    places = {text: i for i, text in enumerate(training.passages)}
    held_out = set(collection.documents.texts) - set(places)
    found: dict[str, dict[int, dict[str, None]]] = {}
    for unit in kind.units(path):
        for batch in kind.read(unit, options):
            columns = ("source", "query", "query_id", "negative", "negative_id")
            for source, query, query_id, negative, negative_id in batch.rows.select(columns).iter_rows():
                row = queries.get(query or _text_of(collection.queries, query_id))
                text = negative or _text_of(collection.documents, negative_id)
                if row is not None and text and text not in held_out:
                    found.setdefault(source, {}).setdefault(row, {})[text] = None
    if not found:
        raise InputError(
            f"{path}: no negative for any of the {len(queries)} training queries, from their part of the documents"
        )
    for source, by_query in found.items():
        if source in training.negatives:
            raise InputError(f"{path}: source {source!r} exists already; name it otherwise: --negatives NAME={path}")
        training.negatives[source] = _placed(training, places, by_query, per_query)
    return list(found)


def false_negatives(text: str, count: int) -> list[str]:
    """Return `count` passages that answer what `text` answers: pieces of it of at most PIECE_WORDS words."""
    words = text.split()
    size = max(1, len(words) // count)
    pieces = [" ".join(words[i * size : (i + 1) * size][:PIECE_WORDS]) for i in range(count)]
    return [piece for piece in pieces if piece and piece != text]


def _text_of(texts: Texts, key: str | None) -> str:
    index = texts.index.get(key or "")
    return texts.texts[index] if index is not None else ""


def _placed(
    training: Training, places: dict[str, int], by_query: dict[int, dict[str, None]], per_query: int
) -> Indices:
    negatives = np.full((len(training.queries), per_query), MISSING, dtype=np.int64)
    for row, texts in by_query.items():
        for column, text in enumerate(list(texts)[:per_query]):
            if text not in places:
                places[text] = len(training.passages)
                training.passages.append(text)
            negatives[row, column] = places[text]
    return negatives[training.query]


def _polluted(training: Training, clean: Indices, count: int) -> Indices:
    """Replace the last `count` negatives of every pair by pieces of its positive."""
    polluted = clean.copy()
    places = {text: i for i, text in enumerate(training.passages)}
    for pair, positive in enumerate(training.positive.tolist()):
        for column, piece in enumerate(
            false_negatives(training.passages[positive], count), start=clean.shape[1] - count
        ):
            if piece not in places:
                places[piece] = len(training.passages)
                training.passages.append(piece)
            polluted[pair, column] = places[piece]
    return polluted


def _halves(first: NDArray[np.int32], second: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Return the first `count` of one (Q, k), filled up from the other: distinct in each row."""
    rows = []
    for a, b in zip(first[:, :count].tolist(), second.tolist(), strict=True):
        kept = [i for i in dict.fromkeys((*a, *b)) if i != MISSING][: first.shape[1]]
        rows.append(kept + [MISSING] * (first.shape[1] - len(kept)))
    return np.array(rows, dtype=np.int32)


def _within(band: Sequence[int], depth: int, k: int) -> tuple[int, int]:
    """Return a band moved up where a small collection has no such ranks."""
    last = min(band[1], depth)
    return max(1, min(band[0], last - k + 1)), last
