"""What is checked of every row whatever its format: missing fields, unknown ids, empty texts, and the texts' ids.

Covers what a row shows by itself. Duplicates and negatives that are positives need the query's other rows:
`settle` finds them, fold by fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.config import good_source
from jobs.formats.base import REJECTS, clip_record
from jobs.ids import Side, from_arrow
from jobs.ingest.distinct_texts import distinct_texts, ids_by_code, not_blank, with_users
from jobs.ingest.index import Index
from jobs.work.layout import TEXTS_SCHEMA

ROLES: tuple[tuple[str, Side], ...] = (("query", "query"), ("positive", "passage"), ("negative", "passage"))
OK, NULL, UNKNOWN, EMPTY = range(4)
REASONS = {NULL: "null_field", UNKNOWN: "unknown_id", EMPTY: "empty_text"}


@dataclass(frozen=True)
class Checked:
    """Accepted rows and what they refer to.

    Attributes:
        good: which of the rows were accepted, bool (rows,).
        rows: positions, int64 (n,).  ids: S16 (n, 3) of query, positive, negative.  source: n strings.
        texts: the distinct texts of accepted rows (columns `TEXTS_SCHEMA`).
        rejects: frame with the columns REJECTS.
    """

    good: np.ndarray
    rows: np.ndarray
    ids: np.ndarray
    source: pl.Series
    texts: pa.Table
    rejects: pl.DataFrame


def check(frame: pl.DataFrame, indexes: Mapping[Side, Index]) -> Checked:
    """Check rows (columns ROWS) against the indexes of ids, where the user gave --corpus and --queries."""
    named = _named(frame["source"])
    query = _identify("query", frame["query"], frame["query_id"], indexes.get("query"))
    # both at once: a passage is often one row's positive and another's negative
    passage = _identify(
        "passage",
        pl.concat([frame["positive"], frame["negative"]]),
        pl.concat([frame["positive_id"], frame["negative_id"]]),
        indexes.get("passage"),
    )
    matrix = np.column_stack([query.ids, *np.split(passage.ids, 2)])
    states = np.column_stack([query.states, *np.split(passage.states, 2)])
    good = named & (states.max(axis=1, initial=OK) == OK)
    rejects = [_reject(frame, int(i), states[i].tolist()) for i in np.flatnonzero(~good)]
    return Checked(
        good,
        frame["row"].to_numpy()[good],
        matrix[good],
        frame["source"].filter(pl.Series(good, dtype=pl.Boolean)),
        pa.concat_tables([query.used(good), passage.used(np.tile(good, 2))]),
        pl.DataFrame(rejects, schema=REJECTS, orient="row"),
    )


def _named(sources: pl.Series) -> np.ndarray:
    """Return whether each row names a usable source, bool (n,)."""
    good = [name for name in sources.unique().to_list() if name is not None and good_source(name)]
    return sources.is_in(good).fill_null(False).to_numpy()


@dataclass(frozen=True)
class _Identified:
    """Cells of a side: ids S16 (n,), states int8 (n,), user ids, and each one's row in `texts`, int32 (n,), -1 for none."""

    ids: np.ndarray
    states: np.ndarray
    users: pl.Series
    codes: np.ndarray
    texts: pa.Table

    def used(self, cells: np.ndarray) -> pa.Table:
        """Return the texts of some cells, bool (n,), with the user ids that these cells give them."""
        codes = self.codes[cells]
        texts = with_users(self.texts, codes, self.users.filter(pl.Series(cells, dtype=pl.Boolean)))
        used = np.zeros(len(texts), dtype=bool)
        used[codes[codes >= 0]] = True
        return texts if used.all() else texts.filter(pa.array(used))


def _identify(side: Side, texts: pl.Series, users: pl.Series, index: Index | None) -> _Identified:
    codes, table = distinct_texts(side, texts)
    absent = texts.is_null().to_numpy()
    states = np.where((codes < 0) & ~absent, EMPTY, OK).astype(np.int8)
    ids = ids_by_code(table, codes)
    if absent.any():
        given = absent & not_blank(users)
        states[absent & ~given] = NULL
        if index is not None:
            at = np.flatnonzero(given)
            ids[at], states[at] = index.find(users.gather(at).to_list(), UNKNOWN, EMPTY)
        else:
            # the user's id takes the text's place
            rows, named = distinct_texts(side, pl.select(pl.when(pl.Series(given)).then(users)).to_series())
            ids[given] = from_arrow(named["id"])[rows[given]]
            codes = np.where(given, len(table) + rows, codes)
            nothing = pa.nulls(len(named), pa.large_string())
            named = named.set_column(TEXTS_SCHEMA.get_field_index("text"), TEXTS_SCHEMA.field("text"), nothing)
            table = pa.concat_tables([table, named])
    return _Identified(ids, states, users, codes, table)


def _reject(frame: pl.DataFrame, i: int, states: list[int]) -> tuple[object, ...]:
    record = {key: value for key, value in frame.row(i, named=True).items() if value is not None}
    row, source = record.pop("row"), record.get("source")
    for kind in (NULL, UNKNOWN, EMPTY):
        for (role, _), state in zip(ROLES, states, strict=True):
            if state == kind:
                given = record.get(f"{role}_id")
                detail = f"{role}_id {given!r} is in no file of that side" if kind == UNKNOWN else f"{role} is missing"
                if kind == EMPTY:
                    detail = f"{role} is empty or white space"
                return row, source, REASONS[kind], detail, clip_record(record)
    if source is None:
        return row, None, "null_field", "source is missing", clip_record(record)
    return row, source, "bad_record", "source is not 1 to 200 printable characters", clip_record(record)
