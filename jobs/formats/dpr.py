"""`dpr`: {question, positive_ctxs: [{title, text}], negative_ctxs: [...], hard_negative_ctxs: [...]}.

As a JSON array or JSONL. `negative_ctxs` and `hard_negative_ctxs` are two sources; --source makes them one. Titles
are joined to texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.formats.base import Options
from jobs.formats.record_format import Item, RecordFormat, entries, pairs, query_of

NEGATIVES = ("negative_ctxs", "hard_negative_ctxs")


class Dpr(RecordFormat):
    """The `dpr` format."""

    name = "dpr"
    records = "question, positive_ctxs, negative_ctxs, hard_negative_ctxs"
    sources = "`negative_ctxs`, `hard_negative_ctxs`"
    needs = (("question", "query"), ("positive_ctxs",), NEGATIVES)

    def triples_of(self, record: Mapping[str, Any], options: Options, path: str) -> Iterator[Item]:
        """Yield a triple for each positive and each negative of the two lists."""
        query = query_of(record, ("question", "query"))
        positives = entries(record.get("positive_ctxs"), "positive_ctxs", options)
        negatives = [
            (options.source if options.source is not None else name, entries(record.get(name), name, options))
            for name in NEGATIVES
        ]
        yield from pairs(query, positives, negatives, options)
