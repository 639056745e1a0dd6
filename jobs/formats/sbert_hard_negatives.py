"""`sbert-hard-negatives`: {qid or query, pos: [...], neg: {system: [...]}} as in msmarco-hard-negatives.jsonl, and GPL.

Also under the names positives and negatives, and NeMo's pos_doc (or documents) and neg_doc.

Passages are ids where the record names its query by id only, else texts; or objects such as {"pid": 5, "ce-score": 9.1} or
{"docid": ..., "text": ...}. Where a record has the query's id and its text, and there is a corpus, the file's first records
say which: ids hold no blank, or are those of the corpus. Each system is a source; a plain list of negatives is the
record's `source`, else the file's name. --source overrides both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from jobs.formats.base import BadRecordError, Batch, Options, Unit
from jobs.formats.record_format import Item, RecordFormat, entries, first_of, pairs, query_of, source_of
from jobs.formats.records import records

QUERY_TEXTS = ("query", "question", "anchor")
QUERY_IDS = ("qid", "query_id", "_id", "question_id")
POSITIVES = ("pos", "positive", "positives", "pos_doc", "documents")
NEGATIVES = ("neg", "negative", "negatives", "neg_doc", "hard_negatives")
RECORDS = 20
"""How many of a file's first records say whether its passages are ids."""


class SbertHardNegatives(RecordFormat):
    """The `sbert-hard-negatives` format."""

    name = "sbert-hard-negatives"
    records = (
        "{qid or query, pos, neg: {system: [...]}}, or lists under positive(s), negative(s); NeMo's pos_doc "
        "(documents) and neg_doc; ids if the query is an id only, or has both and they look like ids or are "
        "those of `--corpus`, else texts"
    )
    sources = "each system; the file's name for a plain list"
    needs = ((*QUERY_IDS, *QUERY_TEXTS), POSITIVES, NEGATIVES)

    def read(self, unit: Unit, options: Options) -> Iterator[Batch]:
        """Yield the unit's rows; see `Format.read`."""
        if options.corpus and options.as_ids is None:
            options = replace(options, as_ids=passages_are_ids(unit.path))
        return super().read(unit, options)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each system's negative."""
        query = query_of(record, QUERY_TEXTS, QUERY_IDS)
        as_ids = query.text is None or (query.id is not None and bool(options.as_ids))
        name, given = first_of(record, POSITIVES)
        positives = entries(given, name, options, as_ids)
        name, given = first_of(record, NEGATIVES)
        systems = given if isinstance(given, dict) else {None: given}
        negatives = [
            (
                _source(system, record, options, path),
                entries(values, f"{name}.{system}" if system else name, options, as_ids),
            )
            for system, values in systems.items()
        ]
        yield from pairs(query, positives, negatives, options)


def passages_are_ids(path: str, known: Callable[[list[str]], int] | None = None) -> bool:
    """Return whether the passages of records that have both the id and the text of their query are ids.

    Args:
        path: the whole file, so that each of its units is read alike.
        known: tells how many of some strings are ids of the corpus.
    """
    strings = _strings(path)
    looks = all(len(string) <= 128 and not string.split()[1:] for string in strings)
    return bool(strings) and (looks or (known is not None and 2 * known(strings) > len(strings)))


def _strings(path: str) -> list[str]:
    found: dict[str, None] = {}
    for record in islice(records(Unit(path)), RECORDS):
        value = record.value
        if isinstance(value, dict) and all(first_of(value, names)[1] is not None for names in (QUERY_TEXTS, QUERY_IDS)):
            given = first_of(value, NEGATIVES)[1]
            lists = [first_of(value, POSITIVES)[1], *(given.values() if isinstance(given, dict) else [given])]
            items = (item for some in lists for item in (some if isinstance(some, list) else [some]))
            found |= dict.fromkeys(item for item in items if isinstance(item, str))
    return list(found)


def _source(system: str | None, record: Mapping[str, Any], options: Options, path: str) -> str:
    if options.source is not None:
        return options.source
    if system == "":
        raise BadRecordError("bad_record", "a system of negatives has an empty name")
    return system if system is not None else source_of(record, options, path)
