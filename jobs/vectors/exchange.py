"""Stage `exchange`. Each bucket writes, for every part of every fold, the vectors and token sets that it wants.

A shuffle through files, linear in the number of references: a task reads its own buckets, one after the other, and a
part reads its own batches of every bucket. A file serves several buckets where there are more than FILES of them, because
every part opens every file; it is called by its first bucket. A batch's rows are in id order, and its part's number is
counted over the folds that the file was written for. Vectors do not compress, so the files are as they lie in memory and are mapped by their readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eci_sql.udfs import TokenSets, Vectors
from jobs.ids import from_arrow, lookup
from jobs.ingest.collect import wanted_ids
from jobs.vectors.columns import matrix_of, unit_rows, unit_scale
from jobs.vectors.embed import cache_of, embed_again
from jobs.vectors.given import load_vectors
from jobs.work.files import reading, writing
from jobs.work.job import Job
from jobs.work.layout import (
    EXCHANGE,
    REQUESTS,
    SETS,
    TOKENS,
    VOCABULARY,
    Exchanged,
    Origin,
    PartRange,
    bucket_name,
    fold_name,
)
from jobs.work.summaries import Sent

FILES = 64


def shared_files(buckets: int) -> list[list[int]]:
    """Return the buckets that each exchange file serves, at most FILES lists in bucket order."""
    each = -(-buckets // FILES)
    return [list(range(start, min(start + each, buckets))) for start in range(0, buckets, each)]


def exchange_task(job: Job, name: str, buckets: list[int], parts: list[PartRange], vector_units: list[Origin]) -> Sent:
    """Write the exchange file of some buckets: for each one a batch for each of the parts, in their order."""
    schema = EXCHANGE.schema_of(job)
    total = Counter[str]()
    with ExitStack() as stack:
        requests = [
            (stack.enter_context(reading(job, REQUESTS, fold_name(fold))), start, stop) for fold, start, stop in parts
        ]
        out = stack.enter_context(writing(job, EXCHANGE, name))
        for bucket, number in zip(buckets, _vocabulary_numbers(job, buckets), strict=True):
            wanted = (
                from_arrow(file.get_batch(part * job.buckets + bucket)["id"])
                for file, start, stop in requests
                for part in range(start, stop)
            )
            columns = _columns(job, bucket, number, vector_units, parts, total)
            total.update(_send(columns, wanted, out, schema))
    return {
        "texts": total["texts"],
        "sent": total["sent"],
        "without_vector": total["without_vector"],
        "embedded_again": total["embedded_again"],
        "damaged_cache_files": total["damaged_cache_files"],
        "queries": total["queries"],
        "queries_without": total["queries_without"],
    }


def _send(
    columns: _Columns, wanted: Iterable[np.ndarray], out: pa.RecordBatchFileWriter, schema: pa.Schema
) -> dict[str, int]:
    sent = 0
    for ids in wanted:
        out.write_batch(columns.batch(lookup(columns.ids, ids), schema))
        sent += len(ids)
    without = columns.scale == 0
    return {
        "texts": len(columns.ids),
        "sent": sent,
        "without_vector": int(without.sum()),
        "queries": int(columns.query.sum()),
        "queries_without": int((without & columns.query).sum()),
    }


@dataclass
class _Columns:
    """What a bucket's texts are sent with: ids S16 (n,) ascending, vectors (n, d), scale float64 (n,), known, tokens, plain.

    `query`: bool (n,), which are queries.
    """

    ids: np.ndarray
    vectors: np.ndarray
    scale: np.ndarray
    query: np.ndarray
    known: pa.Array
    tokens: pa.ListArray
    plain: pa.Array
    _room: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._room = self.vectors[:0]

    def batch(self, at: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
        """Return the rows `at`; the batch holds until the next one is asked for."""
        if len(at) > len(self._room):  # fresh memory for every part would cost as much as filling it
            self._room = np.empty((2 * len(at), self.vectors.shape[1]), dtype=self.vectors.dtype)
        rows = self.vectors.take(at, axis=0, out=self._room[: len(at)], mode="clip")
        where = pa.array(at)
        columns = [
            pa.Array.from_buffers(schema.field("vector").type, len(at), [None, pa.py_buffer(rows)]),
            pa.array(self.scale[at]),
            self.known.take(where),
            self.tokens.take(where),
            self.plain.take(where),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def _columns(
    job: Job, bucket: int, number: np.ndarray, vector_units: list[Origin], parts: list[PartRange], total: Counter[str]
) -> _Columns:
    """Return a bucket's columns; what had to be embedded again is counted in `total`."""
    with reading(job, SETS, bucket_name(bucket)) as file:
        sets = file.read_all()
    ids = from_arrow(sets["id"])
    if job.encoder is None:
        vectors, valid = load_vectors(job, bucket, ids, vector_units)
    else:
        cache = cache_of(job)
        vectors, valid = cache.load(ids)
        lost = ~valid & sets["known"].to_numpy()
        if lost.any():  # a run that samples has not embedded them all
            lost[np.setdiff1d(np.arange(len(ids)), lookup(ids, wanted_ids(job, bucket, parts)))] = False
            embed_again(job, bucket, np.flatnonzero(lost), vectors, valid)
        total.update(embedded_again=int(lost.sum()), damaged_cache_files=cache.damaged)
    tokens = _in_vocabulary(number, sets["tokens"].combine_chunks())
    known, plain = (sets[name].combine_chunks() for name in ("known", "plain"))
    query = pc.equal(sets["side"], "query").to_numpy()
    return _Columns(ids, vectors, unit_scale(vectors, valid), query, known, tokens, plain)


def _vocabulary_numbers(job: Job, buckets: list[int]) -> Iterator[np.ndarray]:
    """Yield, for each bucket, the vocabulary's number of each of its tokens, int32; -1 for those that no query holds."""
    with reading(job, VOCABULARY, "all") as file:
        vocabulary = file.read_all()["token"].combine_chunks()
    tokens = []
    for bucket in buckets:
        with reading(job, TOKENS, bucket_name(bucket)) as file:
            tokens.append(file.read_all()["token"])
    # one call: each makes a hash table of the whole vocabulary
    every = pa.chunked_array([chunk for column in tokens for chunk in column.chunks], vocabulary.type)
    found = pc.index_in(every, value_set=vocabulary).fill_null(-1).to_numpy()
    yield from np.split(found, np.cumsum([len(column) for column in tokens])[:-1])


def _in_vocabulary(number: np.ndarray, lists: pa.ListArray) -> pa.ListArray:
    """Turn a bucket's own token codes into vocabulary numbers, ascending; tokens without a number are left out."""
    codes = number[lists.flatten().to_numpy()]
    owner = np.repeat(np.arange(len(lists), dtype=np.int64), np.asarray(lists.value_lengths()))
    keep = codes >= 0
    keys = np.sort((owner[keep] << 32) | codes[keep])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(keys >> 32, minlength=len(lists)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array((keys & 0xFFFFFFFF).astype(np.int32)))


def token_weights(job: Job) -> np.ndarray:
    """Return the idf of the vocabulary's tokens, float64 (n,)."""
    with reading(job, VOCABULARY, "all") as file:
        return np.asarray(file.read_all()["idf"].to_numpy())


class Received(NamedTuple):
    """What a part has of its n texts; `plain` uint64 (n,) as in `exchange_schema`."""

    vectors: Vectors
    sets: TokenSets
    plain: np.ndarray


def receive(
    job: Job, number: int, exchanged: Exchanged, weights: np.ndarray, room: np.ndarray | None = None
) -> Received:
    """Read a part's vectors, token sets and plain keys from every bucket's file: in bucket order, which is the order of refs.

    Args:
        weights: those of `token_weights`.
        room: float32 (m, d) with a row for every text at least, to put the vectors into (None: new memory).
    """
    batches = []
    for name in exchanged.tasks:
        with reading(job, EXCHANGE, name) as file:
            batches += [file.get_batch(at) for at in range(number, file.num_record_batches, exchanged.parts)]
    table = pa.Table.from_batches([batch.drop_columns(["vector"]) for batch in batches]).combine_chunks()
    scale = table["scale"].to_numpy()
    lists = table["tokens"].combine_chunks()
    sets = TokenSets(
        np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]).astype(np.int32),
        lists.flatten().to_numpy(),
        weights,
        table["known"].to_numpy(),
    )
    matrix = np.empty((len(scale), job.dim), dtype=np.float32) if room is None else room[: len(scale)]
    start = 0
    while batches:  # a bucket's pages are let go before the next one's are touched
        rows = matrix_of(batches.pop(0)["vector"], job.vector_type, job.dim)
        unit_rows(rows, scale[start : start + len(rows)], matrix[start : start + len(rows)])
        start += len(rows)
    return Received(Vectors(matrix, scale > 0), sets, table["plain"].to_numpy())
