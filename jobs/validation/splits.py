"""Dividing a collection so that training and evaluation share no query and no document.

Official splits often share positive documents between train and test; then any fine-tuning looks good, because the
documents were seen. Here each query has a side (train, dev or test) and each document has one (train or evaluation).
A document that is relevant on both sides goes to evaluation; a training query keeps its other positives, or goes.

Sides of queries: the official splits where there is a train and a test (dev, if missing, is a share of train), else
by hash of the query's first relevant document, so that queries about the same document stay together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError
from jobs.retrieval.collection import Collection

DEV_NAMES = ("dev", "validation", "valid", "val")
DEV_SHARE = 0.15
TRAIN_SHARE = 0.6
HELD_OUT_DEV = 0.12
LEAST_QUERIES = 20

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """A division. Arrays hold ascending indices into the collection's queries and documents.

    Attributes:
        train, dev, test: queries, disjoint, each with at least one relevant document on its side.
        train_documents: what positives and negatives are drawn from.
        test_documents: the rest, which dev and test queries are evaluated over.
        dropped: queries of the collection with judgements and without a relevant document left on their side.
        official: whether the sides of queries follow the collection's own splits.
    """

    train: Indices
    dev: Indices
    test: Indices
    train_documents: Indices
    test_documents: Indices
    dropped: int
    official: bool


def split_collection(collection: Collection) -> Split:
    """Divide a collection; the same collection is always divided the same way.

    Raises:
        InputError: fewer than LEAST_QUERIES queries are left on a side.
    """
    official = _official(collection)
    sides = official or _hashed(collection)
    evaluation = {d for query, side in sides.items() if side != "train" for d in collection.relevant[query]}
    training = {d for query, side in sides.items() if side == "train" for d in collection.relevant[query]} - evaluation
    share = len(training) / max(len(training) + len(evaluation), 1)
    for document, text in enumerate(collection.documents.texts):
        if document not in evaluation and document not in training:
            (training if _position(text) < share else evaluation).add(document)
    kept: dict[str, list[int]] = {"train": [], "dev": [], "test": []}
    for query, side in sorted(sides.items()):
        own = training if side == "train" else evaluation
        if not own.isdisjoint(collection.relevant[query]):
            kept[side].append(query)
    for side, queries in kept.items():
        if len(queries) < LEAST_QUERIES:
            raise InputError(
                f"{collection.name}: {len(queries)} {side} queries are left after dividing queries and documents; "
                f"at least {LEAST_QUERIES} are needed"
            )
    arrays = {side: np.array(queries, dtype=np.int64) for side, queries in kept.items()}
    documents = [np.array(sorted(part), dtype=np.int64) for part in (training, evaluation)]
    return Split(**arrays, train_documents=documents[0], test_documents=documents[1],
                 dropped=len(sides) - sum(map(len, kept.values())), official=official is not None)  # fmt: skip


def _official(collection: Collection) -> dict[int, str] | None:
    splits = collection.splits
    if not (splits.get("train") and splits.get("test")):
        return None
    dev = next((splits[name] for name in DEV_NAMES if splits.get(name)), None)
    sides = dict.fromkeys(splits["train"], "train") | dict.fromkeys(splits["test"], "test")
    if dev is None:
        dev = [query for query in splits["train"] if _position(_key(collection, query)) < DEV_SHARE]
    return sides | dict.fromkeys(dev, "dev")


def _hashed(collection: Collection) -> dict[int, str]:
    sides = {}
    for query, relevant in enumerate(collection.relevant):
        if relevant:
            place = _position(_key(collection, query))
            held_out = "dev" if place < TRAIN_SHARE + HELD_OUT_DEV else "test"
            sides[query] = "train" if place < TRAIN_SHARE else held_out
    return sides


def _key(collection: Collection, query: int) -> str:
    return collection.documents.texts[min(collection.relevant[query])]


def _position(text: str) -> float:
    """Return a text's place in [0, 1), by hash."""
    return int.from_bytes(hashlib.sha256(f"split\0{text}".encode()).digest()[:8], "big") / 2**64
