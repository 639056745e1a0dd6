"""Chosen triples as training files: `triples`, `sbert-tuples`, `sbert-hard-negatives`, `bge`, `tevatron`, in shards.

`triples` and `sbert-hard-negatives` keep the sources; the others put all negatives of a query and positive together.
Texts come from a spool, so that memory does not follow the size of the selection.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import InputError, nearest
from jobs.finished import IDS, Finished
from jobs.ids import from_arrow, lookup
from jobs.store import Store
from jobs.work import write_parquet

SHARD_ROWS = 100_000
CHUNK = 5_000


class Text(NamedTuple):
    """A text as an output record shows it: the user's id, or else the text id in hex; the text."""

    id: str
    user_id: str | None
    text: str | None


class Row(NamedTuple):
    """One chosen triple with its texts."""

    query: Text
    positive: Text
    negative: Text
    source: str
    weight: float
    information: float | None


@dataclass(frozen=True)
class TextSpool:
    """Texts of ascending ids S16 (n,): a file of UTF-8, and where in it each text and user id begins and its size."""

    ids: np.ndarray
    path: str
    spans: dict[str, tuple[np.ndarray, np.ndarray]]

    def take(self, ids: np.ndarray) -> list[Text]:
        """Return the texts of ids S16 (n,)."""
        at = lookup(self.ids, ids)
        file = os.open(self.path, os.O_RDONLY)

        def values(name: str) -> list[str | None]:
            start, size = (column[at].tolist() for column in self.spans[name])
            # reads, no memory map: mapped pages would count as this process's memory
            return [None if n < 0 else os.pread(file, n, s).decode() for s, n in zip(start, size, strict=True)]

        try:
            texts, users = values("text"), values("user_id")
        finally:
            os.close(file)
        keys = [bytes(key).hex() for key in np.ascontiguousarray(ids).view("V16").tolist()]
        return [Text(user or key, user, text) for key, user, text in zip(keys, users, texts, strict=True)]


def spool_texts(run: Finished, ids: np.ndarray, folder: str) -> TextSpool:
    """Lay the texts of ascending ids into a spool, by one pass over the run's texts."""
    path = Path(folder) / "texts"
    found, spans, written = [], {"text": [], "user_id": []}, 0  # type: ignore[var-annotated]
    with path.open("wb") as file:
        for table in run.texts(["text_id", "text", "user_id"]):
            here = from_arrow(table["text_id"])
            chosen = table.take(pa.array(np.flatnonzero(lookup(ids, here) >= 0)))
            found.append(from_arrow(chosen["text_id"]).copy())
            for name, parts in spans.items():
                data = chosen[name].cast(pa.large_binary()).combine_chunks()
                data = pa.concat_arrays(data.chunks) if isinstance(data, pa.ChunkedArray) else data
                size = pc.fill_null(pc.binary_length(data), -1).to_numpy(zero_copy_only=False)
                joined = b"".join(value for value in data.to_pylist() if value)
                file.write(joined)
                real = np.maximum(size, 0)
                parts.append((written + np.cumsum(real) - real, size))
                written += len(joined)
    columns = {
        name: tuple(np.concatenate([part[k] for part in parts]).astype(np.int64) for k in (0, 1))
        for name, parts in spans.items()
    }
    return TextSpool(np.concatenate(found), str(path), columns)  # type: ignore[arg-type]


def rows_of(tables: Iterator[pa.Table], spool: TextSpool) -> Iterator[Row]:
    """Yield chosen triples with their texts."""
    for table in tables:
        texts = [spool.take(from_arrow(table[name])) for name in IDS]
        columns = [table[name].to_pylist() for name in ("source", "weight", "information")]
        for values in zip(*texts, *columns, strict=True):
            yield Row(*values)


def _tuples(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"anchor": r.query.text, "positive": r.positive.text, "negative": r.negative.text} for r in rows]


def _triples(rows: Sequence[Row]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        record: dict[str, Any] = {"source": row.source, "weight": row.weight, "information": row.information}
        for name in ("query", "positive", "negative"):
            text = getattr(row, name)
            record |= {name: text.text, f"{name}_id": text.user_id}
        found.append(record)
    return found


def _hard_negatives(rows: Sequence[Row]) -> list[dict[str, Any]]:
    systems: dict[str, list[str | None]] = {}
    for row in rows:
        systems.setdefault(row.source, []).append(row.negative.text)
    first = rows[0]
    return [{"qid": first.query.id, "query": first.query.text, "pos": [first.positive.text], "neg": systems}]


def _bge(rows: Sequence[Row]) -> list[dict[str, Any]]:
    first = rows[0]
    negatives = [row.negative.text for row in rows]
    return [{"query": first.query.text, "pos": [first.positive.text], "neg": negatives}]


def _tevatron(rows: Sequence[Row]) -> list[dict[str, Any]]:
    def passage(text: Text) -> dict[str, Any]:
        return {"docid": text.id, "title": "", "text": text.text}

    first = rows[0]
    return [
        {
            "query_id": first.query.id,
            "query": first.query.text,
            "positive_passages": [passage(first.positive)],
            "negative_passages": [passage(row.negative) for row in rows],
        }
    ]


_S = pa.large_string()
_TRIPLES = pa.schema(
    [
        *((name, _S) for name in ("query", "positive", "negative")),
        *((name, pa.string()) for name in (*IDS, "source")),
        ("weight", pa.float64()),
        ("information", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Output:
    """A format: what a group of rows with one query and positive becomes, and its Parquet schema (None: JSONL)."""

    records: Callable[[Sequence[Row]], list[dict[str, Any]]]
    schema: pa.Schema | None = None


OUTPUTS = {
    "triples": Output(_triples, _TRIPLES),
    "sbert-tuples": Output(_tuples, pa.schema([("anchor", _S), ("positive", _S), ("negative", _S)])),
    "sbert-hard-negatives": Output(_hard_negatives),
    "bge": Output(_bge),
    "tevatron": Output(_tevatron),
}


def output_named(name: str) -> Output:
    """Return a format by its name. Raises InputError that lists them."""
    if name not in OUTPUTS:
        raise InputError(f"--format {name!r} is not known{nearest(name, OUTPUTS)} ({', '.join(OUTPUTS)})")
    return OUTPUTS[name]


def write_shards(rows: Iterator[Row], name: str, store: Store, shard_rows: int = SHARD_ROWS) -> list[dict[str, Any]]:
    """Write rows (all of one query and positive in a row) as shards of about `shard_rows` triples, streaming.

    Returns:
        path, triples, records, bytes and sha256 of each file.

    Raises:
        InputError: the run has ids without texts, and the format needs texts.
    """
    output = output_named(name)
    files: list[dict[str, Any]] = []
    groups = (list(group) for _, group in groupby(rows, lambda row: (row.query.id, row.positive.id)))
    waiting = next(groups, None)
    while waiting is not None:
        counts = {"triples": 0, "records": 0}

        def records(first: list[Row], counts: dict[str, int] = counts) -> Iterator[dict[str, Any]]:
            nonlocal waiting
            group: list[Row] | None = first
            while group is not None and counts["triples"] < shard_rows:
                found = output.records(_with_texts(group, name))
                counts["triples"] += len(group)
                counts["records"] += len(found)
                yield from found
                group = waiting = next(groups, None)

        path = f"data/part-{len(files):05d}.{'jsonl' if output.schema is None else 'parquet'}"
        digest, size = _write(store, path, records(waiting), output.schema)
        files.append({"path": path, **counts, "bytes": size, "sha256": digest})
    return files


def _with_texts(group: list[Row], name: str) -> list[Row]:
    if name != "triples" and any(text.text is None for row in group for text in row[:3]):
        raise InputError(f"this run has ids without texts; --format {name} needs texts, --format triples does not")
    return group


def _write(store: Store, relative: str, records: Iterator[dict[str, Any]], schema: pa.Schema | None) -> tuple[str, int]:
    with store.attempt(relative) as path:
        if schema is None:
            with open(path, "wb") as lines:
                lines.writelines(orjson.dumps(record) + b"\n" for record in records)
        else:
            chunks = iter(lambda: list(islice(records, CHUNK)), [])
            write_parquet(path, (pa.Table.from_pylist(chunk, schema) for chunk in chunks), schema)
        digest, size = hashlib.sha256(), 0
        with open(path, "rb") as written:
            while block := written.read(1 << 20):
                digest.update(block)
                size += len(block)
    return digest.hexdigest(), size
