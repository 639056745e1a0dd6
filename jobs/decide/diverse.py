"""`eci select --diverse`: pieces of whole queries, chosen from greedily, for one growing log-determinant.

Within a piece no two residuals with a cosine over 0.99 are taken; between pieces it is the log-determinant alone that
makes what is there already worth less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from eci_sql.connection import statement
from eci_sql.diversity import Chooser, Quotas
from eci_sql.leverage import residuals
from jobs.finished.committed import refs_of
from jobs.finished.spools import VectorSpool
from jobs.ids import from_arrow

if TYPE_CHECKING:
    import duckdb

PIECE_BYTES = 64 << 20
NO_LIMIT = 1 << 62


def diversify(
    con: duckdb.DuckDBPyConnection,
    spool: VectorSpool,
    budgets: dict[str, int],
    per_query: int | None,
    lam: float,
) -> Iterator[pa.Table]:
    """Yield the rows of table `candidate` that a greedy choice takes; `key` falls in the order they were taken.

    Args:
        con: a cursor of its own: it is read from while the caller writes.
        budgets: how many to take of each group.
    """
    limit = {"per_query": per_query or NO_LIMIT}
    within = con.sql(statement("select/within_queries"), params=limit).fetchall()[0][0]
    target = min(sum(budgets.values()), int(within or 0))
    if not target:
        return
    chooser = Chooser(spool.dim, spool.dim / (lam * target))
    groups = sorted(budgets)
    seen, taken = np.zeros(len(groups), dtype=np.int64), np.zeros(len(groups), dtype=np.int64)
    there = dict(con.sql(statement("select/groups")).fetchall())
    size = np.array([max(there.get(name, 0), 1) for name in groups], dtype=np.int64)
    budget = np.array([budgets[name] for name in groups], dtype=np.int64)
    chosen = 0
    for piece in _pieces(con, max(1024, PIECE_BYTES // (8 * spool.dim))):
        code = np.searchsorted(groups, piece["grp"].to_pylist())
        seen += np.bincount(code, minlength=len(groups))
        # what an earlier piece could not take is there for the later ones
        left = np.ceil(budget * (seen / size) - 1e-9).astype(np.int64) - taken
        order = _choose(chooser, piece, spool, code, left, per_query or NO_LIMIT)
        taken += np.bincount(code[order], minlength=len(groups))
        key = pa.array(-np.arange(chosen, chosen + len(order), dtype=np.float64))
        chosen += len(order)
        rows = piece.take(pa.array(order))
        yield rows.set_column(rows.schema.get_field_index("key"), "key", key)


def _choose(
    chooser: Chooser, piece: pa.Table, spool: VectorSpool, code: np.ndarray, left: np.ndarray, per_query: int
) -> np.ndarray:
    """Return the positions of the piece's rows that are taken, in order. Only weights above 0 add information."""
    weight = piece["weight"].to_numpy()
    at = np.flatnonzero(weight > 0)
    rows = piece.take(pa.array(at)).combine_chunks()
    ids, refs = refs_of(rows)
    found = residuals(spool.take(ids), refs, rows["s_pos"].to_numpy(), rows["s_neg"].to_numpy())
    queries = np.unique(refs[0], return_inverse=True)[1].astype(np.int64)
    return at[chooser.choose(found, weight[at], Quotas(code[at], left.copy(), queries, per_query))]


def _pieces(con: duckdb.DuckDBPyConnection, most: int) -> Iterator[pa.Table]:
    """Yield the candidates in order of fold and query, about `most` rows a piece and no query in two of them."""
    kept: list[pa.Table] = []
    for batch in con.sql(statement("select/by_query")).to_arrow_reader(most):
        table = pa.Table.from_batches([batch])
        queries = from_arrow(table["query_id"])
        last = int(np.flatnonzero(queries != queries[-1])[-1]) + 1 if (queries != queries[-1]).any() else 0
        if last:
            yield pa.concat_tables([*kept, table.slice(0, last)]).combine_chunks()
            kept = []
        kept.append(table.slice(last))
    if kept:
        yield pa.concat_tables(kept).combine_chunks()
