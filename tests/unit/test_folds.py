"""Sums that are kept as rows while these are few say what the matrices say, bit by bit where they are published."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from eci_sql.errors import MetricError
from eci_sql.folds import FoldMatrices, FoldRows, Folds, Mixed, pooled
from eci_sql.leave_out import delete_one
from eci_sql.mixtures import best_mixture, delete_one_mix
from eci_sql.moments import Gathered, add_outer, is_few, pack_upper, residual_rows, upper_of

DIM, FOLDS, LAMBDA = 96, 6, 0.7
Triples = tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1, "blas"):
        yield


def triples(count: int, seed: int, dim: int = DIM) -> Triples:
    """What `add_residuals` takes of so many triples of random unit vectors."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((3 * count + 1, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    refs = tuple(rng.integers(0, len(vectors), count) for _ in range(3))
    s_pos, s_neg = (np.einsum("ij,ij->i", vectors[refs[0]], vectors[ref], dtype=np.float64) for ref in refs[1:])
    return vectors, (refs[0], refs[1], refs[2]), s_pos, s_neg, rng.uniform(0.01, 0.12, count)


def rows_of(count: int, seed: int) -> np.ndarray:
    vectors, (q, p, n), s_pos, s_neg, weight = triples(count, seed)
    return residual_rows(vectors[q], vectors[p], vectors[n], s_pos, s_neg, weight)


def packed_of(rows: np.ndarray) -> np.ndarray:
    total = np.zeros((DIM, DIM), dtype=np.int64)
    add_outer(total, rows)
    return pack_upper(total)


def both(count: int, seed: int) -> tuple[FoldRows, FoldMatrices]:
    """Return the same few rows in random folds, but for the last one, kept and summed."""
    rows, of = rows_of(count, seed), np.random.default_rng(seed).integers(0, FOLDS - 1, count)
    kept = FoldRows(FOLDS, rows.astype(np.int32), of)
    return kept, FoldMatrices.of(np.stack([packed_of(rows[of == fold]) for fold in range(FOLDS)]))


def sources(counts: list[int], which: int) -> list[Folds]:
    """Return sources of so many rows of either sign, as rows (0) or as matrices (1)."""
    found = []
    for seed, count in enumerate(counts):
        plus, minus = both(count, seed)[which], both(count // 2, seed + 50)[which]
        found.append(Folds(plus, minus, np.array([7, 3, 5, 4, 6, 0]) + seed * np.array([1, 0, 1, 1, 0, 0])))
    return found


def test_rows_add_up_to_the_published_bits_fold_by_fold() -> None:
    kept, summed = both(40, seed=1)
    for fold in range(FOLDS):
        assert np.array_equal(kept.fold(fold), summed.fold(fold))
    for count in range(FOLDS + 1):
        assert np.array_equal(kept.first(count), summed.first(count))
    assert np.array_equal(kept.whole, summed.whole)


def test_sums_beyond_the_exact_range_of_floats_are_the_same_bits() -> None:
    rows = rows_of(40, seed=2) * 2.0**4  # 2^53 and more together, each below
    kept = FoldRows(1, rows.astype(np.int32), np.zeros(len(rows), dtype=np.int64))
    assert float(np.square(rows).sum()) > 2.0**51
    assert np.array_equal(kept.whole, packed_of(rows))


@pytest.mark.parametrize("count", [0, 1, 17, DIM // 2])
def test_scores_of_few_rows_are_those_of_their_matrices(count: int) -> None:
    kept, summed = (sources([count], which)[0] for which in (0, 1))
    (a, a_out), (b, b_out) = delete_one(kept, LAMBDA), delete_one(summed, LAMBDA)
    assert (a.information, a.misinformation, a.eci) == pytest.approx(
        (b.information, b.misinformation, b.eci), rel=1e-9, abs=1e-15
    )
    np.testing.assert_allclose(a_out, b_out, rtol=1e-9, atol=1e-15)
    assert kept.plus.spectrum(25) == pytest.approx(summed.plus.spectrum(25), rel=1e-7)


@pytest.mark.parametrize("counts", [[9, 14, 20], [9, 14, 40]])  # few in all; few each, and many in all
def test_mixtures_and_pools_of_few_rows_are_those_of_their_matrices(counts: list[int]) -> None:
    alpha = np.array([0.2, 0.5, 0.3])
    found = []
    for which in (0, 1):
        parts = sources(counts, which)
        means = [Mixed([part.signs[sign] for part in parts]).means([int(p.n.sum()) for p in parts]) for sign in (0, 1)]
        best = best_mixture(means[0], means[1], LAMBDA, DIM)
        (mixed, mixed_out), (pool, pool_out) = delete_one_mix(alpha, parts, LAMBDA), delete_one(pooled(parts), LAMBDA)
        found.append([mixed.eci, *mixed_out[:-1], pool.eci, *pool_out[:-1], best.eci])
        assert np.isnan(mixed_out[-1]) and np.isnan(pool_out[-1])
    assert found[0] == pytest.approx(found[1], rel=1e-8)


def test_the_order_of_rows_and_of_sources_makes_no_difference_to_a_bit() -> None:
    rows, of = rows_of(30, seed=3).astype(np.int32), np.arange(30) % FOLDS
    order = np.random.default_rng(3).permutation(30)
    a, b = FoldRows(FOLDS, rows, of), FoldRows(FOLDS, rows[order], of[order])
    assert [a.information(9, LAMBDA, fold) for fold in range(FOLDS)] == [
        b.information(9, LAMBDA, fold) for fold in range(FOLDS)
    ]
    parts = [part.plus for part in sources([9, 14, 20], 0)]
    forth, back = Mixed(parts).means([10, 20, 30]), Mixed(parts[::-1]).means([30, 20, 10])
    assert np.array_equal(forth, back[::-1])


@pytest.mark.parametrize("cuts", [[], [10], [5, 11, 30]])
@pytest.mark.parametrize("count", [DIM // 2, DIM // 2 + 1, 3 * DIM])
def test_gathered_parts_are_rows_while_they_are_few_and_else_their_sum(count: int, cuts: list[int]) -> None:
    vectors, refs, s_pos, s_neg, weight = triples(count, seed=4)
    gathered = Gathered(DIM)
    for at in np.split(np.arange(count), cuts):
        gathered.add(vectors, (refs[0][at], refs[1][at], refs[2][at]), s_pos[at], s_neg[at], weight[at])
    rows = rows_of(count, seed=4)
    total = np.zeros((DIM, DIM), dtype=np.int64)
    add_outer(total, rows)
    kept = gathered.rows
    assert (kept is not None) == is_few(count, DIM)
    if kept is not None:
        assert np.array_equal(kept, rows)
    assert np.array_equal(gathered.upper(), upper_of(total))


def _no_unit(vectors: np.ndarray) -> np.ndarray:
    return vectors * np.float32(1e6)


def _no_number(vectors: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(vectors))[:, None] == 0, np.float32(np.nan), vectors)


@pytest.mark.parametrize(("spoil", "said"), [(_no_unit, "not of unit length"), (_no_number, "not finite")])
def test_rows_that_cannot_be_exact_are_refused_as_their_sums_are(
    spoil: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    vectors, refs, s_pos, s_neg, weight = triples(8, seed=5)
    with pytest.raises(MetricError, match=said):
        Gathered(DIM).add(spoil(vectors), (refs[0] * 0, refs[1], refs[2]), s_pos, s_neg, weight)
    with pytest.raises(MetricError, match="outside"):
        Gathered(DIM).add(vectors, (refs[0] + 1000, refs[1], refs[2]), s_pos, s_neg, weight)
