"""`labeled`: passages with labels, as sentence-transformers mines them (labeled-list, labeled-pair), and PyLate's scores.

A record holds lists (`docs` and `labels`, or `document_ids` and `scores`), or one pair of a query and a passage with its
`label`; a query's pairs may stand anywhere in the file (pairs.py). A label above 0 makes a positive, any other a negative. Scores alone
say no more than an order: the judged documents of --qrels are the positives, else the passage of the highest score (of
equal ones the first). Source: --source, else a key `source`, else the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from jobs.errors import InputError
from jobs.formats.base import DEFAULT, BadRecordError, Batch, Options, Record, Unit
from jobs.formats.names import renamed
from jobs.formats.opening import parse_json
from jobs.formats.pairs import Pair, read_pairs
from jobs.formats.qrels import Judgements, as_number, read_qrels
from jobs.formats.record_format import (
    Entry,
    Item,
    RecordFormat,
    entries,
    entry_of,
    first_of,
    pairs,
    query_of,
    read_records,
    source_of,
)
from jobs.formats.records import records
from jobs.formats.sbert_hard_negatives import NEGATIVES, QUERY_IDS, QUERY_TEXTS
from jobs.formats.sbert_tuples import negative_columns

ID_LISTS = ("document_ids", "doc_ids", "docids", "passage_ids", "pids")
TEXT_LISTS = ("docs", "documents", "passages", "texts", "candidates", "answers", "positives", "responses")
TEXTS = ("doc", "document", "passage", "text", "answer", "positive", "para", "response")
LABELS, SCORES = ("labels", "label"), ("scores", "score")
LOOKED_AT = 20


class Labeled(RecordFormat):
    """The `labeled` format."""

    name = "labeled"
    records = (
        "sentence-transformers' labeled-list {query, docs, labels} and labeled-pair {query, passage, label}, in "
        "any order; PyLate's {query_id, document_ids, scores}. A label above 0 is a positive; of "
        "scores alone the highest, or what `--qrels` judge relevant"
    )
    sources = "a `source` column, else the file's name"
    needs = ((*QUERY_TEXTS, *QUERY_IDS), (*TEXT_LISTS, *TEXTS, *ID_LISTS), (*LABELS, *SCORES))

    def units(self, path: str, options: Options = DEFAULT) -> list[Unit]:
        """Cut a file into units; one of pairs stays whole, for a query's pairs belong together. See `Format.units`."""
        units = super().units(path, options)
        return units if of_lists(_first_objects(path, options)) else [Unit(path, first_row=units[0].first_row)]

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`. Raises InputError when judgements are named and cannot be read."""
        if of_lists(_first_objects(unit.path, options)):
            judged = read_qrels(options.qrels) if options.qrels else None
            yield from read_records(unit, options, partial(_of_lists, judged=judged))
        else:
            yield from read_pairs((_pair(record, options, unit.path) for record in records(unit)), options)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each negative of a record of lists."""
        return _of_lists(record, options, path)


def fits(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether records, under the names that formats know, are of this format."""
    keys = set().union(*objects)
    if negative_columns(keys) or keys & set(NEGATIVES) or not all(keys & set(group) for group in Labeled.needs):
        return False
    labels = [first_of(o, LABELS)[1] for o in objects if first_of(o, TEXTS)[1]]
    return of_lists(objects) or (bool(labels) and all(map(_whole, labels)))


def of_lists(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether records hold lists of passages, and not one each."""
    return any(_listed(_passages(record)[1]) is not None for record in objects)


def _first_objects(path: str, options: Options) -> list[Mapping[str, Any]]:
    found = [record.value for record in islice(records(Unit(path)), LOOKED_AT)]
    return [renamed(value, options.columns) for value in found if isinstance(value, dict)]


def _whole(value: Any) -> bool:
    try:
        return as_number(value) == int(as_number(value))
    except BadRecordError:
        return False


def _passages(record: Mapping[str, Any]) -> tuple[str, Any]:
    return first_of(record, (*ID_LISTS, *TEXT_LISTS, *TEXTS))


def _listed(value: Any) -> list[Any] | None:
    """Return a list, also one that stands in a string; None for anything else."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = parse_json(value.encode("utf-8", "replace"))
        except BadRecordError:
            return None
    return value if isinstance(value, list) else None


def _of_lists(
    record: Mapping[str, Any], options: Options, path: str, judged: Judgements | None = None
) -> Iterator[Item]:
    query = query_of(record, QUERY_TEXTS, QUERY_IDS)
    name, given = _passages(record)
    marked, marks = first_of(record, (*LABELS, *SCORES))
    values, numbers = _listed(given), _listed(marks)
    if values is None or numbers is None:
        raise BadRecordError("bad_record", f"{name} and {marked} are not both lists")
    if len(values) != len(numbers):
        raise BadRecordError("bad_record", f"{len(values)} {name} and {len(numbers)} {marked}")
    passages = entries(values, name, options, as_ids=name in ID_LISTS)
    scores = [as_number(number) for number in numbers]
    labelled = marked in LABELS or set(scores) <= {0.0, 1.0}
    best = max(scores, default=0.0)
    chosen = [score > 0 for score in scores] if labelled else [i == scores.index(best) for i in range(len(scores))]
    if judged is not None and not labelled:
        chosen = by_judgement(query, passages, judged)
    yield from divided(query, passages, chosen, source_of(record, options, path), options)


def by_judgement(query: Entry, passages: Sequence[Entry | BadRecordError], judged: Judgements) -> list[bool]:
    """Return which passages are judged relevant. Raises BadRecordError (`null_field`) where none is."""
    grades = judged.get(query.id or "", {})
    chosen = [isinstance(entry, Entry) and grades.get(entry.id or "", 0) > 0 for entry in passages]
    if not any(chosen):
        raise BadRecordError("null_field", f"none of the passages of query {str(query.id)[:200]} is judged relevant")
    return chosen


def divided(
    query: Entry, passages: Sequence[Entry | BadRecordError], chosen: Sequence[bool], source: str, options: Options
) -> Iterator[Item]:
    """Yield a triple for each chosen passage and each other one. Raises BadRecordError as `pairs`."""
    both = list(zip(passages, chosen, strict=True))
    negatives = [entry for entry, is_positive in both if not is_positive]
    yield from pairs(query, [entry for entry, is_positive in both if is_positive], [(source, negatives)], options)


def _pair(record: Record, options: Options, path: str) -> Pair | Record:
    try:
        if record.error is not None:
            raise record.error
        if not isinstance(record.value, dict):
            raise BadRecordError("bad_record", f"a {type(record.value).__name__}, not a JSON object")
        value = renamed(record.value, options.columns)
        query = query_of(value, QUERY_TEXTS, QUERY_IDS)
        name, text = first_of(value, TEXTS)
        marked, mark = first_of(value, (*LABELS, *SCORES))
        if not _whole(mark):
            raise BadRecordError("bad_record", f"{marked} is {str(mark)[:40]!r}; a label is a whole number")
        passage = entry_of({"title": value.get("title"), "text": text}, name, options)
        if passage.text is None:
            raise BadRecordError("null_field", f"no passage ({' or '.join(TEXTS)})")
        return Pair(record.row, query, passage, as_number(mark) > 0, source_of(value, options, path))
    except BadRecordError as error:
        return record._replace(error=error)


def refuse_scored_pairs(path: str, objects: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError when records are pairs with a score and no label: nothing says which are the positives."""
    keys = set().union(*objects)
    if keys & set(SCORES) and not keys & set(LABELS) and keys & set(TEXTS) and keys & set(QUERY_TEXTS):
        raise InputError(
            f"{path}: pairs with a score and no label: nothing says which passage is the positive; add a column `label` "
            "(1 or 0), or write query, positive, negative"
        )
