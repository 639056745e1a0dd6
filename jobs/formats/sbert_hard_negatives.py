"""`sbert-hard-negatives`: {qid or query, pos: [...], neg: {system: [...]}} as in msmarco-hard-negatives.jsonl, and GPL.

Also under the names positives and negatives, and NeMo's pos_doc (or documents) and neg_doc.

Passages are ids where the record names its query by id only (or --corpus is given), else texts; or objects such as
{"pid": 5, "ce-score": 9.1} or {"docid": ..., "text": ...}. Each system is a source; a plain list of negatives is the
record's `source`, else the file's name. --source overrides both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.formats.base import BadRecordError, Options
from jobs.formats.record_format import Item, RecordFormat, entries, first_of, pairs, query_of, source_of

QUERY_TEXTS = ("query", "question", "anchor")
QUERY_IDS = ("qid", "query_id", "_id", "question_id")
POSITIVES = ("pos", "positive", "positives", "pos_doc", "documents")
NEGATIVES = ("neg", "negative", "negatives", "neg_doc", "hard_negatives")


class SbertHardNegatives(RecordFormat):
    """The `sbert-hard-negatives` format."""

    name = "sbert-hard-negatives"
    records = (
        "{qid or query, pos, neg: {system: [...]}}, or lists under positive(s), negative(s); NeMo's pos_doc "
        "(documents) and neg_doc; ids if the query is an id only, or has both and `--corpus` is given, else texts"
    )
    sources = "each system; the file's name for a plain list"
    needs = ((*QUERY_IDS, *QUERY_TEXTS), POSITIVES, NEGATIVES)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each system's negative."""
        query = query_of(record, QUERY_TEXTS, QUERY_IDS)
        as_ids = query.text is None or (query.id is not None and bool(options.corpus))
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


def _source(system: str | None, record: Mapping[str, Any], options: Options, path: str) -> str:
    if options.source is not None:
        return options.source
    if system == "":
        raise BadRecordError("bad_record", "a system of negatives has an empty name")
    return system if system is not None else source_of(record, options, path)
