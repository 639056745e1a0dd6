"""The score of a source whole and without each fold of its queries: information.sql over matrices that stay in NumPy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from eci_sql.connection import kept, statement
from eci_sql.folds import Folds
from eci_sql.information import Score
from eci_sql.moments import FloatArray
from eci_sql.udfs import register_numbered

_MEMORY = 64 << 20  # of DuckDB, which sees numbers of matrices only


def delete_one(sums: Folds, lam: float) -> tuple[Score, FloatArray]:
    """Score of all folds, and the ECI without each of them.

    One matrix is made at a time, when SQL asks for its information.

    Args:
        sums: of F folds.
        lam: the ridge lambda.

    Returns:
        The total score, and (F,) float64: nan for a fold without examples.

    Raises:
        MetricError: sums too large for int64.
        duckdb.Error: as `information`, within SQL.
    """
    folds, n = np.flatnonzero(sums.n), int(sums.n.sum())

    def information(number: int, examples: int, lam: float) -> float:
        row, sign = divmod(number, 2)
        return sums.signs[sign].information(examples, lam, int(folds[row - 1]) if row else None)

    plus = np.arange(len(folds) + 1, dtype=np.int32) * 2
    numbered = pa.table(
        {
            "fold": pa.array([None, *folds.tolist()], pa.int32()),
            "n_examples": pa.array(n - np.concatenate([[0], sums.n[folds]])),
            "plus": pa.array(plus),
            "minus": pa.array(plus + 1),
        }
    )
    with kept(_MEMORY, 1, register_numbered, sums=numbered) as (con, matrices):
        matrices.information = information
        rows = con.sql(statement("information"), params={"lambda": lam}).fetchall()
        del matrices.information
    leave_out = np.full(len(sums.n), np.nan)
    leave_out[folds] = [eci for *_, eci in rows[1:]]
    return Score(*rows[0][1:]), leave_out
