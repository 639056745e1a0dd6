"""Moments are exact: the same bits whatever the blocks, the order and the threads."""

from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from eci_sql import moments
from eci_sql.errors import MetricError
from eci_sql.information import information
from eci_sql.moments import (
    add_outer,
    add_packed,
    add_residuals,
    dim_of,
    pack_upper,
    residual_rows,
    unpack_upper,
)

Triples = dict[str, Any]


def triples(n: int, dim: int, seed: int = 0) -> Triples:
    """Arguments of `residual_rows` for n random triples of unit vectors, |weight| <= 1."""
    rng = np.random.default_rng(seed)
    zq, zp, zn = (unit(rng.standard_normal((n, dim))) for _ in range(3))
    s_pos, s_neg = (np.einsum("ij,ij->i", zq, z, dtype=np.float64) for z in (zp, zn))
    return {
        "zq": zq,
        "zp": zp,
        "zn": zn,
        "s_pos": s_pos,
        "s_neg": s_neg,
        "weight": rng.uniform(-1.0, 1.0, n),
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def outer_sum(rows: np.ndarray) -> np.ndarray:
    total = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.int64)
    add_outer(total, rows)
    return total


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return residual_rows(**triples(5000, 96))


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_the_sum_is_the_same_bits_for_any_block_size(
    rows: np.ndarray, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = outer_sum(rows)
    monkeypatch.setattr(moments, "BLOCK_ROWS", block)
    np.testing.assert_array_equal(outer_sum(rows), expected)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_sum_is_the_same_bits_in_any_order(rows: np.ndarray, seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(rows)
    np.testing.assert_array_equal(outer_sum(shuffled), outer_sum(rows))


def test_the_sum_is_the_same_bits_for_one_and_two_threads(rows: np.ndarray) -> None:
    with threadpool_limits(1, "blas"):
        one = outer_sum(rows)
    with threadpool_limits(2, "blas"):
        np.testing.assert_array_equal(outer_sum(rows), one)


def test_the_sum_is_the_integer_sum(rows: np.ndarray) -> None:
    whole = rows.astype(np.int64)
    np.testing.assert_array_equal(outer_sum(rows), whole.T @ whole)


@pytest.mark.parametrize("block", [1, 7, 300])
def test_a_row_does_not_depend_on_its_neighbours(block: int) -> None:
    all_of = triples(300, 33)
    parts = [
        residual_rows(**{name: values[i : i + block] for name, values in all_of.items()}) for i in range(0, 300, block)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), residual_rows(**all_of))


@pytest.mark.parametrize("dim", [32, 384])
def test_the_sum_is_within_a_millionth_of_the_direct_sum(dim: int) -> None:
    args = triples(4000, dim, seed=4)
    zq, zp, zn = (args[name].astype(np.float64) for name in ("zq", "zp", "zn"))
    residual = (zn - zp) - zq * (args["s_neg"] - args["s_pos"])[:, None]
    direct = (residual * np.abs(args["weight"])[:, None]).T @ residual
    exact = unpack_upper(pack_upper(outer_sum(residual_rows(**args))), dim)
    assert np.abs(exact - direct).max() < 1e-6 * np.abs(direct).max()
    reference = information(direct / 4000, 1.0)
    assert information(exact / 4000, 1.0) == pytest.approx(reference, rel=1e-7)


@pytest.mark.parametrize("n", [0, 1, 5000])
def test_looking_vectors_up_in_parts_gives_the_same_bits(n: int) -> None:
    args = triples(n, 24)
    vectors = np.concatenate([args.pop(name) for name in ("zq", "zp", "zn")])
    order = np.random.default_rng(0).permutation(n)
    refs = (order, order + n, order + 2 * n)
    total = np.zeros((24, 24), dtype=np.int64)
    add_residuals(total, vectors, refs, **{name: args[name][order] for name in args})
    np.testing.assert_array_equal(total, outer_sum(residual_rows(**triples(n, 24))))


@pytest.mark.parametrize("ref", [-1, 3])
def test_a_ref_without_a_vector_is_refused(ref: int) -> None:
    refs = (np.array([0]), np.array([1]), np.array([ref]))
    one = np.ones(1)
    with pytest.raises(MetricError, match="outside the 3"):
        add_residuals(np.zeros((2, 2), np.int64), np.eye(3, 2, dtype=np.float32), refs, one, one, one)


def test_no_rows_add_nothing() -> None:
    rows = residual_rows(**triples(0, 8))
    assert rows.shape == (0, 8)
    assert not outer_sum(rows).any()


def test_blocks_too_large_for_float64_are_split() -> None:
    rows = np.full((64, 2), 2.0**25) + np.arange(64)[:, None]  # one row is exact, eight are not
    whole = rows.astype(np.int64)
    np.testing.assert_array_equal(outer_sum(rows), whole.T @ whole)


def test_a_row_too_long_to_be_exact_is_refused() -> None:
    with pytest.raises(MetricError, match="unit length"):
        outer_sum(np.full((3, 2), 2.0**27))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(MetricError, match="not finite"):
        outer_sum(np.array([[1.0, 2.0], [value, 1.0]]))


def test_a_sum_that_would_overflow_is_refused_and_leaves_the_total() -> None:
    total = np.array([[2**62 - 3, 0], [0, 0]], dtype=np.int64)
    with pytest.raises(MetricError, match="2\\^62"):
        add_outer(total, np.array([[2.0, 1.0]]))
    assert total.tolist() == [[2**62 - 3, 0], [0, 0]]


def test_packing_keeps_the_upper_triangle_by_rows() -> None:
    matrix = np.array([[1, 2, 3], [2, 4, 5], [3, 5, 6]], dtype=np.int64)
    assert pack_upper(matrix << 4).tolist() == [1, 2, 3, 4, 5, 6]
    assert pack_upper((matrix << 4) + 7).tolist() == [1, 2, 3, 4, 5, 6]
    assert pack_upper((matrix << 4) + 8).tolist() == [2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(unpack_upper(pack_upper(matrix << 4), 3), matrix * 2.0**-40)


@pytest.mark.parametrize("dim", [1, 2, 384, 1024])
def test_the_dimension_follows_from_the_packed_length(dim: int) -> None:
    assert dim_of(dim * (dim + 1) // 2) == dim


def test_a_length_that_no_triangle_has_is_refused() -> None:
    with pytest.raises(MetricError, match="5 is not"):
        dim_of(5)
    with pytest.raises(MetricError, match="dimension"):
        unpack_upper(np.zeros(6, dtype=np.int64), 4)


def test_packed_sums_are_exact_or_refused() -> None:
    packed = np.array([[2**61, -7, 3], [2**60, 5, 4]], dtype=np.int64)
    total = packed[0].copy()
    add_packed(total, packed[1])
    assert total.tolist() == [2**61 + 2**60, -2, 7]
    with pytest.raises(MetricError, match="2\\^62"):
        add_packed(total, total.copy())
