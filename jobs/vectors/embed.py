"""Stage `embed`: embed each bucket's texts that the cache does not hold yet.

Texts go in chunks, in id order, and each chunk is added to the cache as it is done, so that a kill costs a chunk. One
session a worker process, opened at the first task that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from jobs.ids import from_arrow, lookup
from jobs.ingest.collect import wanted_ids
from jobs.output import layout
from jobs.vectors.cache import Cache
from jobs.work.files import read_unfinished
from jobs.work.job import Job
from jobs.work.layout import PartRange, bucket_name
from jobs.work.summaries import Embedded

if TYPE_CHECKING:
    from onnx_models.running.session import Encoder

CHUNK = 8192
Report = Callable[[int], None]


@cache
def encoder_of(name: str, threads: int) -> Encoder:
    """Return this process's encoder, opened once and checked against its golden vectors."""
    from onnx_models.cards import load_card
    from onnx_models.running.session import open_encoder

    return open_encoder(load_card(name), threads)


def cache_of(job: Job) -> Cache:
    """Return the run's embedding cache."""
    return Cache(job.store, job.fingerprint, job.dim)


def read_texts(job: Job, name: str) -> tuple[np.ndarray, pl.DataFrame]:
    """Return a bucket's ids S16 (n,), ascending, and its texts (columns side, text)."""
    table = read_unfinished(job, layout.texts_bucket(name), columns=["text_id", "side", "text"])
    return from_arrow(table["text_id"]).copy(), pl.DataFrame(pl.from_arrow(table.drop_columns(["text_id"])))


def embed_task(job: Job, name: str, report: Report, bucket: int, parts: list[PartRange] | None = None) -> Embedded:
    """Embed what is new in one bucket, of the texts that parts want (None: all).

    `report(n)` is called with the number of texts done since the last call.
    """
    ids, texts = read_texts(job, bucket_name(bucket))
    if parts is not None:
        at = lookup(ids, wanted_ids(job, bucket, parts))
        ids, texts = ids[at], texts[at]
    store = cache_of(job)
    present = store.load(ids)[1]
    missing = np.flatnonzero(~present & texts["text"].is_not_null().to_numpy())
    report(int(len(ids) - len(missing)))
    tokens = padded = 0
    for start in range(0, len(missing), CHUNK):
        at = missing[start : start + CHUNK]
        vectors, seen = encode(job, texts[at], report)
        store.add(ids[at], vectors)
        tokens, padded = tokens + seen[0], padded + seen[1]
    return {
        "texts": len(ids),
        "embedded": len(missing),
        "cache_hits": int(present.sum()),
        "tokens": tokens,
        "padded_tokens": padded,
        "damaged_cache_files": store.damaged,
    }


def embed_again(job: Job, bucket: int, at: np.ndarray, vectors: np.ndarray, present: np.ndarray) -> None:
    """Embed texts of a bucket whose vectors the cache has lost since the stage `embed`, and put them in.

    Args:
        at: their rows among the bucket's texts.  vectors (n, d), present (n,): of all of these, to be filled.
    """
    ids, texts = read_texts(job, bucket_name(bucket))
    store = cache_of(job)
    for start in range(0, len(at), CHUNK):
        rows = at[start : start + CHUNK]
        vectors[rows] = encode(job, texts[rows], lambda _: None)[0]
        store.add(ids[rows], vectors[rows])
    present[at] = True


def encode(job: Job, texts: pl.DataFrame, report: Report) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the vectors float16 (n, d) of texts (columns side, text), and the real and padded tokens they took."""
    encoder = encoder_of(str(job.encoder), job.threads)
    before = encoder.tokens_seen
    vectors = encode_texts(encoder, texts, job.dim, report)
    after = encoder.tokens_seen
    return vectors, (int(after[0] - before[0]), int(after[1] - before[1]))


def is_encoder(name: str, fingerprint: str) -> bool:
    """Return whether the encoder of this name is there, and is the one of a fingerprint."""
    from onnx_models.cards import load_card
    from onnx_models.errors import EncoderError

    try:
        return load_card(name).fingerprint == fingerprint
    except EncoderError:
        return False


def encode_texts(encoder: Encoder, texts: pl.DataFrame, dim: int, report: Report) -> np.ndarray:
    """Return the vectors float16 (n, d) of texts (columns side, text)."""
    vectors = np.empty((len(texts), dim), dtype=np.float16)
    for side in ("query", "passage"):
        at = np.flatnonzero((texts["side"] == side).to_numpy())
        for indices, rows in encoder.encode_batches(texts["text"].gather(at).to_list(), side):
            vectors[at[indices]] = rows
            report(len(indices))
    return vectors
