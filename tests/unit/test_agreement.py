"""Rank correlations against SciPy, and what bootstrap and regret say in cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jobs.retrieval.bootstrap import draw_means
from jobs.validation.agreement import agreement, kendall, random_regret, real_pairs, spearman

NAMES = ["a", "b", "c", "d"]


def measured(levels: list[float], noise: float = 0.3) -> np.ndarray:
    """A metric (S, K = 3, Q = 200) with the given means, and what is hard about a query the same for all sources."""
    random = np.random.default_rng(0)
    hard = random.normal(0, noise, 200)
    return np.array([[level + hard + random.normal(0, 0.02, 200) for _ in range(3)] for level in levels])


def test_correlations_equal_scipy_with_ties() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        x, y = random.integers(0, 5, 9).astype(float), random.integers(0, 5, 9).astype(float)
        assert spearman(x, y)[0] == pytest.approx(stats.spearmanr(x, y).statistic)
        assert kendall(x, y)[0] == pytest.approx(stats.kendalltau(x, y).statistic)


def test_a_constant_predictor_has_no_correlation() -> None:
    assert np.isnan(spearman(np.ones(4), np.arange(4.0))).all()
    assert np.isnan(kendall(np.ones(4), np.arange(4.0))).all()


def test_draws_centre_on_the_means_and_are_the_same_for_a_seed() -> None:
    values = measured([0.2, 0.4, 0.5, 0.5])
    draws = draw_means(values, seed=3)
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=(1, 2)), atol=0.003)
    np.testing.assert_array_equal(draws, draw_means(values, seed=3))
    spread = values.mean(axis=1).std(axis=1) / np.sqrt(200)
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.1)


def test_pairing_finds_a_difference_far_below_the_spread_of_queries() -> None:
    values = measured([0.50, 0.52, 0.50, 0.60])
    values[2] = values[0]
    pairs = {(p.a, p.b): p for p in real_pairs(NAMES, values, draw_means(values))}
    assert pairs["a", "b"].different and pairs["a", "b"].difference.value < 0
    assert not pairs["a", "c"].different


def test_a_right_predictor_has_no_regret_and_a_reversed_one_the_whole_range() -> None:
    levels = [0.2, 0.4, 0.5, 0.6]
    values = measured(levels)
    draws = draw_means(values)
    pairs = real_pairs(NAMES, values, draws)
    good, bad = (agreement(NAMES, sign * np.array(levels), values, draws, pairs) for sign in (1, -1))
    assert (good.spearman.value, good.kendall.value, good.regret.value, good.pairs_right.value) == (1, 1, 0, 1)
    assert (good.regret.hi, good.pairs_right.lo) == (0, 1)
    assert (bad.picked, bad.spearman.value, bad.pairs_right.value) == ("a", -1, 0)
    assert bad.regret.value == pytest.approx(0.4, abs=0.01)
    assert bad.regret.lo < bad.regret.value < bad.regret.hi
    assert random_regret(values) == pytest.approx(0.175, abs=0.01)


def test_a_tie_for_the_first_place_is_charged_its_mean_and_half_a_pair() -> None:
    values = measured([0.2, 0.4, 0.5, 0.6])
    draws = draw_means(values)
    said = agreement(NAMES, np.ones(4), values, draws, real_pairs(NAMES, values, draws))
    assert said.regret.value == pytest.approx(random_regret(values))
    assert (said.picked, said.pairs_right.value) == ("a", 0.5)


def test_sources_without_a_value_are_left_out_of_the_correlation() -> None:
    values = measured([0.2, 0.4, 0.5, 0.6])
    draws = draw_means(values)
    said = agreement(NAMES, np.array([1, 2, np.nan, 3]), values, draws, real_pairs(NAMES, values, draws))
    assert said.spearman.value == 1
