"""Scores, standard errors, differences and ranks do what their definitions say."""

import math

import numpy as np
import pytest

from eci_sql.errors import MetricError
from eci_sql.folds import FoldMatrices, Folds
from eci_sql.information import (
    eci_v1,
    information,
    interval,
    jackknife_se,
    p_value,
    paired_difference,
    rank_bounds,
    score,
    spectrum,
)
from eci_sql.leave_out import delete_one

NAN = float("nan")


def packed_folds(folds: int, dim: int, seed: int) -> np.ndarray:
    """(F, P) int64 packed random positive semi-definite sums."""
    rng = np.random.default_rng(seed)
    upper = np.triu_indices(dim)
    rows = np.rint(rng.standard_normal((folds, 3 * dim, dim)) * 2**18).astype(np.int64)
    return np.stack([(block.T @ block)[upper] for block in rows])


def test_information_is_the_log_determinant_per_dimension() -> None:
    matrix = np.diag([0.5, 1.0, 0.0])
    expected = (math.log(1 + 3 * 0.5 / 2) + math.log(1 + 3 / 2)) / 3
    assert information(matrix, lam=2.0) == pytest.approx(expected, rel=1e-14)


def test_information_leaves_its_argument_alone() -> None:
    matrix = np.eye(3)
    information(matrix, 1.0)
    np.testing.assert_array_equal(matrix, np.eye(3))


@pytest.mark.parametrize("matrix", [np.full((2, 2), NAN), -np.eye(2), np.full((2, 2), np.inf)])
def test_a_matrix_without_log_determinant_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(MetricError, match="log-determinant"):
        information(matrix, 1.0)


def test_covering_more_directions_is_worth_more() -> None:
    one, many = np.diag([1.0, 0.0, 0.0, 0.0]), np.eye(4) / 4
    assert information(many, 1.0) > information(one, 1.0)


def test_purity_discounts_information() -> None:
    plus, minus = np.eye(2) * 4.0, np.eye(2) * 1.0
    result = score(plus, minus, n=2, lam=1.0)
    assert result.information == pytest.approx(math.log(5))
    assert result.misinformation == pytest.approx(math.log(2))
    assert result.purity == pytest.approx(math.log(5) / math.log(10))
    assert result.eci == pytest.approx(math.log(5) ** 2 / math.log(10))


def test_purity_is_one_without_misinformation_and_zero_without_information() -> None:
    zero, some = np.zeros((2, 2)), np.eye(2)
    assert score(some, zero, 1, 1.0).purity == 1.0
    assert score(zero, some, 1, 1.0).purity == 0.0
    assert score(zero, zero, 1, 1.0).purity == 0.0


def test_a_source_without_examples_scores_zero() -> None:
    result = score(np.zeros((2, 2)), np.zeros((2, 2)), 0, 1.0)
    assert (result.information, result.misinformation, result.purity, result.eci) == (0, 0, 0, 0)


def test_effective_rank_counts_equal_directions() -> None:
    trace, rank = spectrum(np.diag([2.0, 2.0, 2.0, 0.0]))
    assert trace == 6.0
    assert rank == pytest.approx(3.0)
    assert spectrum(np.zeros((3, 3))) == (0.0, 0.0)


def test_first_version_is_a_harmonic_mean_of_clipped_means() -> None:
    assert eci_v1(9, 0.6, 0.2) == pytest.approx(math.log(10) * 0.3)
    assert eci_v1(9, -0.1, 0.2) == 0.0
    assert eci_v1(9, -0.1, 0.0) == 0.0


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.array([1.0, 4.0, 2.0, 7.0])
    leave_out = (values.sum() - values) / 3
    expected = values.std(ddof=1) / math.sqrt(4)
    assert jackknife_se(leave_out) == pytest.approx(expected)


def test_jackknife_ignores_folds_that_do_not_count() -> None:
    assert jackknife_se(np.array([1.0, NAN, 3.0])) == jackknife_se(np.array([1.0, 3.0]))
    without = paired_difference(2.0, np.array([1.0, NAN, 3.0]), 0.0, np.array([0.0, NAN, 0.0]))
    assert (without.lo, without.hi) == interval(2.0, without.se, folds=2)
    assert math.isnan(jackknife_se(np.array([1.0, NAN])))


def of(plus: np.ndarray, minus: np.ndarray, n: np.ndarray) -> Folds:
    return Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), n)


def test_leaving_a_fold_out_is_never_having_seen_it() -> None:
    plus, minus = packed_folds(4, 5, seed=1), packed_folds(4, 5, seed=2)
    n = np.array([30, 20, 40, 10])
    _, leave_out = delete_one(of(plus, minus, n), lam=1.0)
    for fold in range(4):
        rest = np.arange(4) != fold
        total, _ = delete_one(of(plus[rest], minus[rest], n[rest]), lam=1.0)
        assert leave_out[fold] == total.eci


def test_folds_without_examples_do_not_count() -> None:
    plus, minus = packed_folds(3, 4, seed=3), packed_folds(3, 4, seed=4)
    plus[1] = minus[1] = 0
    _, leave_out = delete_one(of(plus, minus, np.array([5, 0, 5])), lam=1.0)
    assert np.isnan(leave_out).tolist() == [False, True, False]


def test_interval_is_student_t() -> None:
    lo, hi = interval(1.0, 0.5, folds=3)
    assert (lo, hi) == pytest.approx((1.0 - 4.302652729911 * 0.5, 1.0 + 4.302652729911 * 0.5))
    assert all(math.isnan(end) for end in interval(1.0, NAN, folds=1))


def test_p_value_agrees_with_the_interval() -> None:
    lo, _ = interval(1.0, 0.3, folds=12, level=0.95)
    edge = 1.0 - lo
    assert p_value(edge, 0.3, 12) == pytest.approx(0.05)
    assert p_value(-edge, 0.3, 12) == pytest.approx(0.05)


def test_p_value_without_spread_is_certain() -> None:
    assert p_value(0.0, 0.0, 8) == 1.0
    assert p_value(0.1, 0.0, 8) == 0.0
    assert math.isnan(p_value(0.1, NAN, 1))


def test_difference_pairs_the_folds() -> None:
    shared = np.array([0.9, 1.1, 1.0, 1.3])  # what both sources have in common cancels
    result = paired_difference(1.5, shared + 0.5, 1.0, shared)
    assert result.difference == 0.5
    assert result.se == pytest.approx(0.0, abs=1e-15)
    assert result.decided


def test_difference_is_antisymmetric() -> None:
    a, b = np.array([1.0, 1.2, NAN, 0.9]), np.array([0.5, NAN, NAN, 0.8])
    ab, ba = paired_difference(1.0, a, 0.6, b), paired_difference(0.6, b, 1.0, a)
    assert (ab.difference, ab.se, ab.lo) == (-ba.difference, ba.se, -ba.hi)
    assert (ab.p_value, ab.decided) == (ba.p_value, ba.decided)


def test_a_fold_absent_in_one_source_leaves_its_estimate() -> None:
    a, b = np.array([1.0, 1.2, NAN]), np.array([0.5, NAN, NAN])
    result = paired_difference(1.1, a, 0.6, b)
    assert result.se == jackknife_se(np.array([1.0 - 0.5, 1.2 - 0.6]))


def test_one_shared_fold_decides_nothing() -> None:
    result = paired_difference(1.0, np.array([1.0, NAN]), 0.5, np.array([0.4, NAN]))
    assert math.isnan(result.p_value)
    assert not result.decided


def test_rank_bounds_hold_what_is_not_excluded() -> None:
    decided = np.zeros((3, 3), dtype=bool)
    decided[0, 2] = decided[2, 0] = True
    rank, lo, hi = rank_bounds([0.1, 0.2, 0.3], decided)
    assert rank.tolist() == [3, 2, 1]
    assert lo.tolist() == [2, 1, 1]
    assert hi.tolist() == [3, 3, 2]


def test_ties_rank_in_the_order_given() -> None:
    rank, _, _ = rank_bounds([0.2, 0.5, 0.2], np.zeros((3, 3), dtype=bool))
    assert rank.tolist() == [2, 1, 3]
