"""Pairs of a query and a labelled passage become triples, wherever in the file a query's pairs stand.

A small file is held whole. A larger one of which the first WINDOW bytes have each query's pairs together is read as it goes by;
pairs that come back to a query later are rejected then. Any other is laid out by query in a temporary folder first.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, groupby
from typing import NamedTuple

import pyarrow as pa

from jobs.formats.base import Batch, BatchBuilder, Options, Record
from jobs.formats.record_format import Entry
from jobs.output.leftovers import scratch

WINDOW = 16 << 20
"""Bytes of texts, and what they take in memory beside, that are held of a file."""
OVERHEAD = 200
BUCKETS = 256
ALONE = 0.9
"""Queries, as a share of the pairs of the window, from which on a file is taken for one that is in no order."""
_SCHEMA = pa.schema(
    [("row", pa.int64()), ("query", pa.large_string()), ("query_id", pa.large_string()), ("passage", pa.large_string()),
     ("passage_id", pa.large_string()), ("positive", pa.bool_()), ("source", pa.large_string())]
)  # fmt: skip


class Pair(NamedTuple):
    """A query and a passage of one record, and whether the passage is a positive."""

    row: int
    query: Entry
    passage: Entry
    positive: bool
    source: str


class Apart(NamedTuple):
    """Pairs of a query whose other pairs, from the row `first` on, have gone by."""

    pairs: list[Pair]
    first: int


def read_pairs(found: Iterable[Pair | Record], options: Options) -> Iterator[Batch]:
    """Yield the triples of pairs: each positive of a query with each of its negatives.

    A query without a positive or without a negative is rejected.
    """
    builder = BatchBuilder()
    for group in gathered(found, options.glimpse):
        if isinstance(group, Record):
            builder.reject_bad(group)
        elif isinstance(group, Apart):
            detail = (
                f"{len(group.pairs)} pairs apart from the query's first ones at {group.first}: sort the file by query"
            )
            _reject(builder, "bad_record", detail, group.pairs)
        else:
            for row, texts, ids, source in _triples(builder, group, options):
                builder.row(row, texts, ids, source)
                if builder.full:
                    yield builder.take()
        if builder.full:
            yield builder.take()
    yield builder.take()


def _reject(builder: BatchBuilder, reason: str, detail: str, pairs: Sequence[Pair]) -> None:
    query = pairs[0].query
    builder.reject(
        pairs[0].row, reason, detail, {"query": query.text or query.id, "pairs": len(pairs)}, pairs[0].source
    )


def _triples(
    builder: BatchBuilder, pairs: Sequence[Pair], options: Options
) -> Iterator[tuple[int, Sequence[str | None], Sequence[str | None], str]]:
    positives = [pair.passage for pair in pairs if pair.positive]
    negatives = [pair for pair in pairs if not pair.positive]
    if not positives or not negatives:
        lacking = "positive" if not positives else "negative"
        _reject(builder, "null_field", f"no {lacking} among {len(pairs)} pairs of the query", pairs)
        return
    for pair in negatives:
        for positive in positives[:1] if options.positives == "first" else positives:
            texts, ids = zip(*((entry.text, entry.id) for entry in (pair.query, positive, pair.passage)), strict=True)
            yield pair.row, texts, ids, pair.source


def gathered(found: Iterable[Pair | Record], glimpse: bool = False) -> Iterator[list[Pair] | Apart | Record]:
    """Yield the pairs of each query together, and bad records as they come.

    `glimpse`: whether the beginning of a file is enough; queries of which it has not both kinds of pairs are left out then.
    """
    rest, window, size = iter(found), list[Pair](), 0
    for item in rest:
        if isinstance(item, Record):
            yield item
            continue
        window.append(item)
        size += _size(item)
        if size >= WINDOW:
            break
    else:
        yield from _together(window)
        return
    if glimpse:
        yield from (group for group in _together(window) if len({pair.positive for pair in group}) > 1)
    elif _scattered(window):
        yield from _laid_out(chain(window, rest))
    else:
        yield from _going_by(chain(window, rest))


def _size(pair: Pair) -> int:
    texts = (*pair.query[:2], *pair.passage[:2])
    return OVERHEAD + sum(len(text) for text in texts if text is not None)


def _together(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    """Yield groups in the order of their first pairs."""
    groups: dict[Entry, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.query, []).append(pair)
    yield from groups.values()


def _scattered(window: Sequence[Pair]) -> bool:
    """Return whether queries come back, or hardly any has two pairs."""
    together = sum(1 for _ in groupby(window, key=lambda pair: pair.query))
    queries = len({pair.query for pair in window})
    return together > queries or queries > ALONE * len(window)


def _going_by(found: Iterable[Pair | Record]) -> Iterator[list[Pair] | Apart | Record]:
    seen: dict[bytes, int] = {}

    def whole(pairs: list[Pair]) -> list[Pair] | Apart:
        first = seen.setdefault(hashlib.blake2b(_key(pairs[0].query), digest_size=16).digest(), pairs[0].row)
        return pairs if first == pairs[0].row else Apart(pairs, first)

    pairs: list[Pair] = []
    for item in found:
        if isinstance(item, Record):
            yield item
            continue
        if pairs and pairs[0].query != item.query:
            yield whole(pairs)
            pairs = []
        pairs.append(item)
    yield whole(pairs)  # what has come here has a window of pairs


def _key(query: Entry) -> bytes:
    return repr(query[:2]).encode("utf-8", "surrogatepass")


def _laid_out(found: Iterable[Pair | Record]) -> Iterator[list[Pair] | Record]:
    """Yield groups by buckets of the queries, which a temporary folder holds meanwhile."""
    with scratch() as folder:
        paths, chunk, size = list[str](), list[Pair](), 0
        for item in found:
            if isinstance(item, Record):
                yield item
                continue
            chunk.append(item)
            size += _size(item)
            if size >= WINDOW:
                paths.append(_write(os.path.join(folder, f"{len(paths)}.arrow"), chunk))
                chunk, size = [], 0
        paths.append(_write(os.path.join(folder, f"{len(paths)}.arrow"), chunk))
        with ExitStack() as stack:
            files = [pa.ipc.open_file(stack.enter_context(pa.memory_map(path))) for path in paths]
            for bucket in range(BUCKETS):
                yield from _together(pair for file in files for pair in _read(file.get_batch(bucket)))


def _write(path: str, pairs: Sequence[Pair]) -> str:
    """Write pairs, a batch for each bucket of their queries; returns the path."""
    buckets: list[list[Pair]] = [[] for _ in range(BUCKETS)]
    for pair in pairs:
        buckets[zlib.crc32(_key(pair.query)) % BUCKETS].append(pair)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, _SCHEMA) as out:
        for bucket in buckets:
            rows = [(p.row, *p.query[:2], *p.passage[:2], p.positive, p.source) for p in bucket]
            columns = list(zip(*rows, strict=True)) or [()] * len(_SCHEMA)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
            out.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
    return path


def _read(batch: pa.RecordBatch) -> Iterator[Pair]:
    columns = (column.to_pylist() for column in batch.columns)
    for row, query, query_id, passage, passage_id, positive, source in zip(*columns, strict=True):
        yield Pair(row, Entry(query, query_id), Entry(passage, passage_id), positive, source)
