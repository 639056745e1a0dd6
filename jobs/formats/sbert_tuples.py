"""`sbert-tuples`: sentence-transformers' columns anchor, positive, negative or negative_1..N; also OpenMatch's pairs.

As JSONL, JSON array, Parquet or CSV; a line may also be the list [anchor, positive, negative, ...]. Each negative
column gives one triple. Source: --source, else the file's name; with `numbered = "each"` every column is a source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jobs.errors import InputError
from jobs.formats.base import DEFAULT, BadRecordError, Batch, Options, Unit
from jobs.formats.columns import as_id, as_text, text_and_id
from jobs.formats.record_format import Entry, Item, RecordFormat, after_file, first_of, pairs, query_of, read_records
from jobs.formats.records import columns_of

QUERIES = ("anchor", "query", "question", "sentence1")
POSITIVES = ("positive", "pos", "doc_pos", "answer", "sentence2")
NEGATIVE = re.compile(r"(?:negative|neg|doc_neg)(?:_\d+)?|sentence3")
_IDS = re.compile(r"negative(?:_\d+)?_id")


def negative_columns(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that hold negatives, by their numbers."""
    return _negative_columns(tuple(keys))


@lru_cache(maxsize=64)
def _negative_columns(keys: tuple[str, ...]) -> tuple[str, ...]:
    found = [key for key in keys if NEGATIVE.fullmatch(key) or (_IDS.fullmatch(key) and key[:-3] not in keys)]
    return tuple(sorted(found, key=lambda key: (int("".join(re.findall(r"\d+", key)) or 0), key)))


class SbertTuples(RecordFormat):
    """The `sbert-tuples` format."""

    name = "sbert-tuples"
    records = (
        "anchor or query, positive, negative or negative_1..N; also `[q, p, n, ...]` of texts, and OpenMatch "
        "doc_pos/doc_neg"
    )
    sources = "a `source` column, else the file's name; `--numbered each`: each column"
    needs = ((*QUERIES, "query_id", "anchor_id"), (*POSITIVES, "positive_id"))

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file into units. Raises InputError when a Parquet or CSV file has no column of negatives."""
        units, columns = super().units(path, options), columns_of(path, options.columns)
        if columns is not None and not negative_columns(columns):
            raise InputError(
                f"{path}: no column 'negative' or 'negative_1'; its columns are {', '.join(columns)} "
                f"(format {self.name} needs at least one negative; if it has another name, say --columns negative=NAME)"
            )
        return units

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        return read_records(unit, options, self.triples_of, lists=_from_list)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each negative column that is not null."""
        query = query_of(record, QUERIES, ("query_id", "anchor_id"))
        _, text = first_of(record, POSITIVES)
        positive = Entry(*text_and_id(text, record.get("positive_id"), "positive"))
        columns = negative_columns(record)
        negatives = []
        for column in columns:
            negative = _negative(record, column, options)
            # Rows with fewer negatives than there are columns hold nulls in the rest.
            if negative != Entry(None, None) or len(columns) == 1:
                negatives.append((_source(column, record, options, path), [negative]))
        yield from pairs(query, [positive], negatives, options)


def _negative(record: Mapping[str, Any], column: str, options: Options) -> Entry | BadRecordError:
    try:
        if _IDS.fullmatch(column):
            return Entry(None, as_id(record[column], column))
        return Entry(*text_and_id(record[column], record.get(f"{column}_id"), column))
    except BadRecordError as error:
        return error


def _source(column: str, record: Mapping[str, Any], options: Options, path: str) -> str:
    # A column `source` is no part of this format, but whoever writes one means it.
    named = options.source if options.source is not None else as_text(record.get("source"), "source")
    if options.numbered != "each":
        return named if named is not None else after_file(options, path)
    column = column.removesuffix("_id")
    return column if named is None else f"{named}.{column}"


def _from_list(record: list[Any]) -> dict[str, Any]:
    if len(record) < 3:
        raise BadRecordError("bad_record", f"a list of {len(record)}; query, positive and negatives are needed")
    return dict(zip(("anchor", "positive"), record[:2], strict=True)) | {
        f"negative_{i}": text for i, text in enumerate(record[2:], start=1)
    }
