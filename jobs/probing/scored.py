"""Scored triples of the queries of lowest sample position, from the tables of a run, finished or not.

Parts lie in the order of sample positions, so that these queries are in the first parts of each fold, however large the
lake is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.ids import from_arrow, lookup, positions_of, unique
from jobs.output import layout
from jobs.probing.sample import Ids, Rows, lowest

IDS = ("query_id", "positive_id", "negative_id")


class ScoredParts:
    """The published scores of a run, file by file, read as far as they are needed. A file's place: (fold, part)."""

    def __init__(self, read: Callable[..., pa.Table], paths: Iterable[str]) -> None:
        """Take the files of scores, and what reads a file of the run: `read(path in its folder, columns=...)`."""
        self._read = read
        places = ((*layout.scores_place(path), path) for path in paths)
        self._paths = {(int(fold), part): path for fold, part, path in places}
        self._left: dict[int, list[tuple[int, int]]] = {}
        for place in sorted(self._paths):
            self._left.setdefault(place[0], []).append(place)
        self._queries: dict[tuple[int, int], Ids] = {}
        self._reached = dict.fromkeys(self._left, -1)

    def lowest(self, count: int) -> Ids:
        """Return the `count` queries of lowest position, ascending by id."""
        behind, found = list(self._left), np.empty(0, dtype="S16")
        while behind:
            for fold in behind:
                place = self._left[fold].pop(0)
                ids = unique(from_arrow(self._table(place, IDS[:1])[IDS[0]]))
                self._queries[place] = ids
                self._reached[fold] = max(self._reached[fold], int(positions_of(ids).max(initial=0)))
            found = lowest(np.concatenate(list(self._queries.values())), count)
            furthest = int(positions_of(found).max(initial=0))
            # parts follow each other by position, and a query may go on in the next one
            behind = [
                fold
                for fold, places in self._left.items()
                if places and (len(found) < count or self._reached[fold] <= furthest)
            ]
        return found

    def holding(self, queries: Ids) -> list[tuple[int, int]]:
        """Return the parts that hold any of these queries, of those that were read, in order."""
        return sorted(place for place, ids in self._queries.items() if (lookup(queries, ids) >= 0).any())

    def rows(self, queries: Ids, sources: list[str]) -> Rows:
        """Return the triples of these queries."""
        found = []
        for place in self.holding(queries):
            table = self._table(place, (*IDS, "source"))
            table = table.filter(pa.array(lookup(queries, from_arrow(table[IDS[0]])) >= 0))
            found.append(rows_of(table, sources))
        return Rows.joined(found)

    def _table(self, place: tuple[int, int], columns: Sequence[str]) -> pa.Table:
        return self._read(self._paths[place], columns=list(columns))


def rows_of(table: pa.Table, sources: list[str]) -> Rows:
    """Return the scored triples (columns of scores) of these sources as rows, the sources by their numbers."""
    table = table.filter(pc.is_in(table["source"], value_set=pa.array(sources, pa.string())))
    code = pc.index_in(table["source"], value_set=pa.array(sources, pa.string())).to_numpy().astype(np.int64)
    query, positive, negative = (from_arrow(table[column]).copy() for column in IDS)
    return Rows(query, positive, negative, code)
