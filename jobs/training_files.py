"""Chosen triples as training files: `triples`, `sbert-tuples`, `sbert-hard-negatives`, `bge`, `tevatron`, in shards.

`triples` and `sbert-hard-negatives` keep the sources; the others put all negatives of a query and positive together.
sentence-transformers takes tuples with as many columns of negatives as it finds, and would read a null as a text: so
tuples with different numbers of negatives go to different folders, each a data set of its own. Texts come from a spool,
so that memory does not follow the size of the selection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import InputError, nearest
from jobs.finished import IDS, Finished
from jobs.ids import from_arrow, lookup
from jobs.shards import Shards
from jobs.store import Store

SHARD_ROWS = 100_000
TUPLES = "sbert-tuples"
MOST_NEGATIVES = 64


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


def negative_names(count: int) -> list[str]:
    """Return the columns of so many negatives: `negative`, or `negative_1`, `negative_2`, ..."""
    return ["negative"] if count == 1 else [f"negative_{k}" for k in range(1, count + 1)]


def _tuple(rows: Sequence[Row]) -> dict[str, Any]:
    negatives = zip(negative_names(len(rows)), (row.negative.text for row in rows), strict=True)
    return {"anchor": rows[0].query.text, "positive": rows[0].positive.text, **dict(negatives)}


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


Chunk = tuple[str, list[dict[str, Any]], int]
"""A folder below `data` ('' for `data` itself), the records that go there, and the triples that they hold."""


@dataclass(frozen=True)
class Output:
    """A format: what a group of rows with one query and positive becomes, and its Parquet schema (None: JSONL)."""

    records: Callable[[Sequence[Row]], list[dict[str, Any]]]
    schema: pa.Schema | None = None

    def chunks(self, group: Sequence[Row]) -> Iterator[Chunk]:
        """Yield the group's records by the folders they go to."""
        yield "", self.records(group), len(group)

    def schema_of(self, folder: str) -> pa.Schema | None:
        """Return the schema of a folder's files."""
        return self.schema


@dataclass(frozen=True)
class TupleOutput(Output):
    """`sbert-tuples` with at most `negatives` negatives in a row: a folder for each number of them, if not only 1."""

    negatives: int = 1

    def chunks(self, group: Sequence[Row]) -> Iterator[Chunk]:
        """Yield the group's tuples: full ones, and one of what is left."""
        for start in range(0, len(group), self.negatives):
            rows = group[start : start + self.negatives]
            yield "" if self.negatives == 1 else f"negatives-{len(rows)}", [_tuple(rows)], len(rows)

    def schema_of(self, folder: str) -> pa.Schema:
        """Return the schema of a folder's files: no column can be null."""
        names = ["anchor", "positive", *negative_names(int(folder.rpartition("-")[2] or 1))]
        return pa.schema([pa.field(name, _S) for name in names])


OUTPUTS = {
    "triples": Output(_triples, _TRIPLES),
    TUPLES: TupleOutput(lambda group: [_tuple(group)]),
    "sbert-hard-negatives": Output(_hard_negatives),
    "bge": Output(_bge),
    "tevatron": Output(_tevatron),
}


def output_named(name: str, negatives: int | None = None) -> Output:
    """Return a format by its name.

    Args:
        negatives: most negatives of a row of sbert-tuples (None: 1).

    Raises:
        InputError: no such format (it lists them); `negatives` with another format, or out of range.
    """
    if name not in OUTPUTS:
        raise InputError(f"--format {name!r} is not known{nearest(name, OUTPUTS)} ({', '.join(OUTPUTS)})")
    output = OUTPUTS[name]
    if negatives is None:
        return output
    if not isinstance(output, TupleOutput):
        raise InputError(
            f"--negatives goes with --format {TUPLES}; {name} keeps a query's negatives together by itself"
        )
    if not 1 <= negatives <= MOST_NEGATIVES:
        raise InputError(f"--negatives is {negatives}, allowed is 1 to {MOST_NEGATIVES}")
    return replace(output, negatives=negatives)


def write_shards(
    rows: Iterator[Row], name: str, store: Store, shard_rows: int = SHARD_ROWS, negatives: int | None = None
) -> list[dict[str, Any]]:
    """Write rows (all of one query and positive in a row) as shards of about `shard_rows` triples, streaming.

    Args:
        negatives: as `output_named`.

    Returns:
        path, triples, records, bytes and sha256 of each file, by path.

    Raises:
        InputError: the run has ids without texts, and the format needs texts.
    """
    output = output_named(name, negatives)
    found: dict[str, Shards] = {}
    try:
        for _, group in groupby(rows, lambda row: (row.query.id, row.positive.id)):
            for folder, records, triples in output.chunks(_with_texts(list(group), name)):
                if folder not in found:
                    path = f"data/{folder}".rstrip("/")
                    found[folder] = Shards(store, path, output.schema_of(folder), shard_rows)
                found[folder].add(records, triples)
        for shards in found.values():
            shards.close()
    except BaseException as error:
        for shards in found.values():
            shards.abandon(error)
        raise
    return sorted((file for shards in found.values() for file in shards.files), key=lambda file: str(file["path"]))


def _with_texts(group: list[Row], name: str) -> list[Row]:
    if name != "triples" and any(text.text is None for row in group for text in row[:3]):
        raise InputError(f"this run has ids without texts; --format {name} needs texts, --format triples does not")
    return group
