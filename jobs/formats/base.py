"""What every input format gives to ingest: batches of rows and of rejected records.

A format is one module with one `Format`; `jobs.formats` lists them. A reader only parses: it checks nothing that
is the same for all formats (empty texts, duplicates, negatives that are positives): `jobs.ingest.checks` does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import polars as pl

from jobs.ids import tidy

BATCH_ROWS = 20_000
BATCH_BYTES = 32 << 20
RECORD_BYTES = 4096

TEXT_COLUMNS = ("query", "positive", "negative")
ID_COLUMNS = ("query_id", "positive_id", "negative_id")

ROWS: dict[str, Any] = {
    "row": pl.Int64,
    **dict.fromkeys((*TEXT_COLUMNS, *ID_COLUMNS, "source"), pl.String),
}
REJECTS: dict[str, Any] = {
    "row": pl.Int64,
    "source": pl.String,
    "reason": pl.String,
    "detail": pl.String,
    "record": pl.String,
}


@dataclass(frozen=True)
class Options:
    """How the records of one input are read.

    Attributes:
        source: the source of every row of this input, in place of what the record says.
        file_source: what a source that is named after its file is called (None: as if it were the only file).
        positives: `all` (a triple for each pair of a positive and a negative) or `first`.
        ranks: for ranked runs, the first and last rank to take, counted from 1.
        title_separator: what stands between a passage's title and its text.
        numbered: for `sbert-tuples`, whether negative_1..N are `one` source or `each` their own.
        columns: pairs of a name that formats know and the name that this input's files have for it.
        corpus: files that hold the passages by id.  queries: files that hold the queries by id.
        qrels: files that hold the judgements, for ranked runs.
        as_ids: whether strings that may be passages or their ids are ids (None: as the first ones look).
        glimpse: whether the first rows are all that is wanted: what needs the whole of a file does with its beginning then.
    """

    source: str | None = None
    file_source: str | None = None
    positives: str = "all"
    ranks: tuple[int, int] | None = None
    title_separator: str = " "
    numbered: str = "one"
    columns: tuple[tuple[str, str], ...] = ()
    corpus: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    qrels: tuple[str, ...] = ()
    as_ids: bool | None = None
    glimpse: bool = False


DEFAULT = Options()


@dataclass(frozen=True)
class Unit:
    """What one task reads: a file, or a range of it (bytes of a text file, row groups of Parquet).

    `first_row` is the position of the range's first record: lines of text files and elements of a JSON array count
    from 1, rows of Parquet from 0.
    """

    path: str
    start: int = 0
    stop: int | None = None
    first_row: int = 1


@dataclass(frozen=True)
class Batch:
    """Rows (columns `ROWS`) and rejected records (columns `REJECTS`) read from one unit. Made by `Batch.of`."""

    rows: pl.DataFrame
    rejects: pl.DataFrame

    @classmethod
    def of(cls, rows: pl.DataFrame, rejects: pl.DataFrame) -> Batch:
        """Return a batch in which every source has its one spelling."""
        return cls(_tidied(rows), _tidied(rejects))


def _tidied(frame: pl.DataFrame) -> pl.DataFrame:
    names = frame["source"].unique().drop_nulls().to_list()
    spelled = {name: tidy(name) for name in names if tidy(name) != name}
    return frame.with_columns(pl.col("source").replace(spelled)) if spelled else frame


class Format(Protocol):
    """A format of training triples. Implementations hold no state.

    Attributes:
        name: what it is called on the command line.
        records, sources: what its files hold and what its sources are, for the README, as Markdown.
    """

    name: str
    records: str
    sources: str

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file into what one task reads. Raises InputError when its columns cannot be this format's."""
        ...

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield what the unit holds, in the file's order (pairs of large files aside) and at most about BATCH_ROWS rows or BATCH_BYTES a batch."""
        ...


@dataclass
class BatchBuilder:
    """Collects rows and rejects record by record and hands them out as batches."""

    size: int = BATCH_ROWS
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _rejects: list[tuple[Any, ...]] = field(default_factory=list)
    _length: int = 0

    def row(self, row: int, texts: Sequence[str | None], ids: Sequence[str | None], source: str | None) -> None:
        """Add a triple: its record's position, three texts, three user ids (either may be None), its source."""
        self._rows.append((row, *texts, *ids, source))
        self._length += sum([len(text) for text in texts if text is not None])

    def reject(self, row: int, reason: str, detail: str, record: Any, source: str | None = None) -> None:
        """Add a rejected record. `record` is bytes, a string, or anything that JSON can hold."""
        self._rejects.append((row, source, reason, detail, clip_record(record)))

    def reject_bad(self, record: Record) -> None:
        """Add a record that could not be read."""
        if record.error is not None:
            self.reject(record.row, record.error.reason, str(record.error), record.raw)

    @property
    def full(self) -> bool:
        """Whether it is time to `take`."""
        return len(self._rows) + len(self._rejects) >= self.size or self._length >= BATCH_BYTES

    def take(self) -> Batch:
        """Return what was collected since the last call."""
        batch = Batch.of(
            pl.DataFrame(self._rows, schema=ROWS, orient="row"),
            pl.DataFrame(self._rejects, schema=REJECTS, orient="row"),
        )
        self._rows, self._rejects, self._length = [], [], 0
        return batch


def clip_record(record: Any) -> str:
    """Return a record as JSON text of at most RECORD_BYTES bytes of UTF-8 (a longer one is cut into a JSON string)."""
    if isinstance(record, bytes):
        record = record[:RECORD_BYTES].decode("utf-8", "replace")
    text = json.dumps(record, ensure_ascii=False, default=str)
    data = text.encode("utf-8", "replace")
    if len(data) <= RECORD_BYTES:
        return data.decode("utf-8")
    # A cut record is no longer the record's JSON: it becomes a JSON string, escapes counted.
    keep = RECORD_BYTES - 8
    while True:
        cut = json.dumps(data[:keep].decode("utf-8", "ignore") + "…", ensure_ascii=False)
        over = len(cut.encode("utf-8")) - RECORD_BYTES
        if over <= 0:
            return cut
        keep -= max(over // 2, 1)


class BadRecordError(ValueError):
    """A record that cannot be parsed; `reason` is a reject reason, the message its detail."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the reason beside the detail."""
        super().__init__(detail)
        self.reason = reason


class Record(NamedTuple):
    """A record's position, its value (None where `error` says why it cannot be had), and what a reject shows of it."""

    row: int
    value: Any
    raw: Any
    error: BadRecordError | None = None
