"""The score of a source whole and without each fold of its queries: information.sql over matrices that stay in NumPy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from eci_sql.connection import kept, statement
from eci_sql.information import Score
from eci_sql.moments import FloatArray, IntArray, sum_packed
from eci_sql.udfs import register_numbered

_MEMORY = 64 << 20  # of DuckDB, which sees numbers of matrices only


def delete_one(fold_plus: IntArray, fold_minus: IntArray, fold_n: IntArray, lam: float) -> tuple[Score, FloatArray]:
    """Score of all folds, and the ECI without each of them.

    Sums are subtracted as integers, so leaving a fold out is exactly never having seen it. One matrix is made at a
    time, when SQL asks for its information.

    Args:
        fold_plus, fold_minus: (F, P) int64 packed sums of each fold, in units of 2^-UNIT_BITS.
        fold_n: (F,) int64 examples of each fold.
        lam: the ridge lambda.

    Returns:
        The total score, and (F,) float64: nan for a fold without examples.

    Raises:
        MetricError: sums too large for int64.
        duckdb.Error: as `information`, within SQL.
    """
    folds, n = np.flatnonzero(fold_n), int(fold_n.sum())
    parts = fold_plus, fold_minus
    whole = [sum_packed(part) for part in parts]

    def packed(number: int) -> IntArray:
        row, sign = divmod(number, 2)
        return whole[sign] - parts[sign][folds[row - 1]] if row else whole[sign]

    plus = np.arange(len(folds) + 1, dtype=np.int32) * 2
    sums = pa.table(
        {
            "fold": pa.array([None, *folds.tolist()], pa.int32()),
            "n_examples": pa.array(n - np.concatenate([[0], fold_n[folds]])),
            "plus": pa.array(plus),
            "minus": pa.array(plus + 1),
        }
    )
    with kept(_MEMORY, 1, register_numbered, sums=sums) as (con, matrices):
        matrices.packed = packed
        rows = con.sql(statement("information"), params={"lambda": lam}).fetchall()
        del matrices.packed
    leave_out = np.full(len(fold_n), np.nan)
    leave_out[folds] = [eci for *_, eci in rows[1:]]
    return Score(*rows[0][1:]), leave_out
