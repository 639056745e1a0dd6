"""Numbers of matrices give the bits that the matrices give: passed through SQL as lists, and scored in NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from eci_sql.connection import connect, statement
from eci_sql.folds import FoldMatrices, Folds
from eci_sql.information import score
from eci_sql.leave_out import delete_one
from eci_sql.moments import unpack_upper
from eci_sql.udfs import register_information
from jobs.scoring.moments import as_lists

FOLDS, LAMBDA = 8, 0.7


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1, "blas"):
        yield


def sums_of(dim: int, empty: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return plus and minus, int64 (F, P), and examples (F,) of random folds; fold `empty` has none."""
    rng = np.random.default_rng(dim)
    rows = np.rint(rng.standard_normal((2, FOLDS, dim // 2, dim)) * 2**19).astype(np.int64)
    rows[:, empty] = 0
    upper = np.triu_indices(dim)
    plus, minus = (np.stack([(block.T @ block)[upper] for block in sign]) for sign in rows)
    examples = rng.integers(1, 50, FOLDS)
    examples[empty] = 0
    return plus, minus, examples


@pytest.mark.parametrize("dim", [3, 40, 384])
def test_the_score_has_the_bits_of_matrices_that_go_through_sql(dim: int) -> None:
    plus, minus, n = sums_of(dim, empty=2)
    here = np.flatnonzero(n)
    whole = {"plus": plus.sum(axis=0), "minus": minus.sum(axis=0)}
    table = pa.table(
        {
            "fold": pa.array([None, *here.tolist()], pa.int32()),
            "n_examples": pa.array(np.concatenate([[n.sum()], n.sum() - n[here]])),
            **{
                name: as_lists(np.concatenate([whole[name][None], whole[name] - part[here]]))
                for name, part in (("plus", plus), ("minus", minus))
            },
        }
    )
    with connect() as con:
        register_information(con)
        con.register("sums", table)
        rows = con.sql(statement("information"), params={"lambda": LAMBDA}).fetchall()
    total, leave_out = delete_one(Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), n), LAMBDA)
    assert astuple(total) == rows[0][1:]
    assert leave_out[here].tolist() == [row[-1] for row in rows[1:]]


@pytest.mark.parametrize("dim", [3, 40, 384])
def test_the_score_has_the_bits_of_numpy_alone(dim: int) -> None:
    plus, minus, n = sums_of(dim, empty=5)

    def scored(folds: np.ndarray) -> tuple[float, ...]:
        sums = (unpack_upper(part[folds].sum(axis=0), dim) for part in (plus, minus))
        return astuple(score(*sums, int(n[folds].sum()), LAMBDA))

    total, leave_out = delete_one(Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), n), LAMBDA)
    assert astuple(total) == scored(np.arange(FOLDS))
    for fold in range(FOLDS):
        if n[fold]:
            assert leave_out[fold] == scored(np.flatnonzero(np.arange(FOLDS) != fold))[-1]
        else:
            assert np.isnan(leave_out[fold])


def test_without_its_only_fold_a_source_has_no_score() -> None:
    plus, minus, n = (sums[:1] for sums in sums_of(6, empty=3))
    total, leave_out = delete_one(Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), n), LAMBDA)
    assert total.eci > 0 and leave_out.tolist() == [0.0]
