"""Chosen triples as training files: `triples`, `sbert-tuples`, `sbert-hard-negatives`, `bge`, `tevatron`, in shards.

`triples` and `sbert-hard-negatives` keep the sources; the others put all negatives of a query and positive together.
sentence-transformers takes tuples with as many columns of negatives as it finds, and would read a null as a text: so
tuples with different numbers of negatives go to different folders, each a data set of its own. Texts come from a spool,
so that memory does not follow the size of the selection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from jobs.decide.shards import Shards
from jobs.errors import InputError, nearest
from jobs.finished.committed import IDS
from jobs.ids import from_arrow
from jobs.ingest.text_spool import Text, TextSpool
from jobs.output.store import Store

SHARD_ROWS = 100_000
TUPLES = "sbert-tuples"
MOST_NEGATIVES = 64
ALL = 1 << 62


class Row(NamedTuple):
    """One chosen triple with its texts."""

    query: Text
    positive: Text
    negative: Text
    source: str
    weight: float
    information: float | None


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


def records_of_triples(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as records of TRIPLES, one each."""
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
TRIPLES = pa.schema(
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
    """A format: what a group of rows with one query and positive becomes, and its Parquet schema (None: JSONL).

    `record`: most of these rows that one record holds.
    """

    records: Callable[[Sequence[Row]], list[dict[str, Any]]]
    schema: pa.Schema | None = None
    record: int = ALL

    def chunks(self, group: Sequence[Row]) -> Iterator[Chunk]:
        """Yield the group's records by the folders they go to."""
        yield "", self.records(group), len(group)

    def schema_of(self, folder: str) -> pa.Schema | None:
        """Return the schema of a folder's files."""
        return self.schema


@dataclass(frozen=True)
class TupleOutput(Output):
    """`sbert-tuples` with at most `record` negatives in a row: a folder for each number of them, if not only 1."""

    record: int = 1

    def chunks(self, group: Sequence[Row]) -> Iterator[Chunk]:
        """Yield the group's tuples: full ones, and one of what is left."""
        for start in range(0, len(group), self.record):
            rows = group[start : start + self.record]
            yield "" if self.record == 1 else f"negatives-{len(rows)}", [_tuple(rows)], len(rows)

    def schema_of(self, folder: str) -> pa.Schema:
        """Return the schema of a folder's files: no column can be null."""
        names = ["anchor", "positive", *negative_names(int(folder.rpartition("-")[2] or 1))]
        return pa.schema([pa.field(name, _S) for name in names])


OUTPUTS = {
    "triples": Output(records_of_triples, TRIPLES, 1),
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
    return replace(output, record=negatives)


def write_shards(
    rows: Iterator[Row], name: str, store: Store, shard_rows: int = SHARD_ROWS, negatives: int | None = None
) -> list[dict[str, Any]]:
    """Write rows (those of a record next to each other) as shards of about `shard_rows` triples, streaming.

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
