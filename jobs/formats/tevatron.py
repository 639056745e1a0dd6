"""`tevatron`: {query_id, query, positive_passages: [{docid, title, text}], negative_passages: [...]}.

Also the form that names passages by id (positive_document_ids, negative_document_ids) and needs --corpus. Titles are
joined to texts. Source: --source, else a key `source` of the record or of a negative, else the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.formats.base import Options
from jobs.formats.record_format import Item, RecordFormat, entries, first_of, pairs, query_of, source_of

POSITIVES = ("positive_passages", "positive_document_ids")
NEGATIVES = ("negative_passages", "negative_document_ids")


class Tevatron(RecordFormat):
    """The `tevatron` format."""

    name = "tevatron"
    records = "query, positive_passages, negative_passages, or `*_document_ids`"
    sources = "the file's name"
    needs = (("query", "query_text", "query_id"), POSITIVES, NEGATIVES)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each negative."""
        query = query_of(record, ("query", "query_text"))
        source = source_of(record, options, path)
        name, given = first_of(record, POSITIVES)
        positives = entries(given, name, options, as_ids=True)
        name, given = first_of(record, NEGATIVES)
        yield from pairs(query, positives, [(source, entries(given, name, options, as_ids=True))], options)
