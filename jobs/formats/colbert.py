"""`colbert`: ColBERT's examples, [qid, pid+, pid-, ...] or with scores [qid, [pid, score], ...], all ids.

ColBERT takes the first passage for the positive, with scores too (its cross-entropy and its in-batch loss have the label
0, and it prints the first score as that of the positive). Where --qrels are named, those judged relevant are the positives
in its place. Source: --source, else the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from jobs.formats.base import DEFAULT, BadRecordError, Batch, Options, Unit
from jobs.formats.columns import as_id
from jobs.formats.labeled import by_judgement, divided
from jobs.formats.qrels import Judgements, as_number, read_qrels
from jobs.formats.record_format import Entry, Item, read_records, source_of
from jobs.formats.records import record_units

_LIST = "list"


class Colbert:
    """The `colbert` format."""

    name = "colbert"
    records = (
        "ColBERT's `[qid, pid, pid, ...]` and `[qid, [pid, score], ...]`; the positive is the first, or what "
        "`--qrels` judge relevant"
    )
    sources = "the file's name"

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file by lines; see `Format.units`."""
        return record_units(path)

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`. Raises InputError when judgements are named and cannot be read."""
        judged = read_qrels(options.qrels) if options.qrels else None
        yield from read_records(unit, options, partial(_triples, judged=judged), lists=lambda values: {_LIST: values})


def fits(values: list[list[Any]]) -> bool:
    """Whether lists are of this format."""
    return any(len(value) >= 3 for value in values) and all(
        len(value) >= 2 and _is_id(value[0]) and (all(map(_is_number, value[1:])) or all(map(_is_scored, value[1:])))
        for value in values
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    return _is_number(value) or isinstance(value, str)


def _is_scored(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_id(value[0]) and isinstance(value[1], int | float)


def _triples(record: Mapping[str, Any], options: Options, path: str, judged: Judgements | None) -> Iterator[Item]:
    values = record.get(_LIST)
    if not isinstance(values, list) or len(values) < 3:
        raise BadRecordError("bad_record", "not a list of a query, a positive and negatives: [qid, pid, pid, ...]")
    query = Entry(None, as_id(values[0], "qid"))
    if query.id is None:
        raise BadRecordError("null_field", "no query")
    passages = [_passage(value, i) for i, value in enumerate(values[1:], start=1)]
    chosen = [i == 0 for i in range(len(passages))] if judged is None else by_judgement(query, passages, judged)
    yield from divided(query, passages, chosen, source_of({}, options, path), options)


def _passage(value: Any, place: int) -> Entry | BadRecordError:
    try:
        if isinstance(value, list):
            if len(value) != 2:
                raise BadRecordError("bad_record", f"element {place} is a list of {len(value)}, not [pid, score]")
            as_number(value[1])
            value = value[0]
        return Entry(None, as_id(value, f"element {place}"))
    except BadRecordError as error:
        return error
