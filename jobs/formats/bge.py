"""`bge`: FlagEmbedding's {query, pos: [...], neg: [...]}, all texts; scores, prompt and type are not read.

Source: --source, else a key `source` of the record or of a negative, else the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.formats.base import Options
from jobs.formats.record_format import Item, RecordFormat, entries, pairs, query_of, source_of


class Bge(RecordFormat):
    """The `bge` format."""

    name = "bge"
    records = "{query, pos, neg}"
    sources = "the file's name"
    needs = (("query",), ("pos",), ("neg",))

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each negative."""
        query = query_of(record, ("query",))
        source = source_of(record, options, path)
        positives = entries(record.get("pos"), "pos", options)
        yield from pairs(query, positives, [(source, entries(record.get("neg"), "neg", options))], options)
