"""What a probe's differences are worth: Holm, intervals, and that equal sources are told apart by chance only."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.probing.judging import Question, judge
from jobs.probing.results import NDCG, judged_by
from jobs.probing.statistics import CHOICE, difference, gain, holm, training_variance

QUERIES, HALVINGS, ROUNDS = 600, 4, 500


def test_holm_is_holm() -> None:
    """By hand: 0.01 * 4, 0.013 * 3 (not below the one before), 0.03 * 2, 0.4 * 1."""
    found = holm(np.array([0.03, 0.01, 0.4, 0.013]))
    np.testing.assert_allclose(found, [0.06, 0.04, 0.4, 0.04])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def world(
    random: np.random.Generator, sources: int, training: float, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Values (S, H, Q) of sources that are equal, but for `shift` of the first, and the halves (H, Q)."""
    sides = random.integers(0, 2, (HALVINGS, QUERIES))
    values = 0.3 * random.standard_normal(QUERIES) + 0.1 * random.standard_normal((sources, 1, QUERIES))
    values = values + 0.05 * random.standard_normal((sources, HALVINGS, QUERIES))
    for halving, half in enumerate(sides):
        common = training * random.standard_normal(2)
        values[:, halving] += (common + training * random.standard_normal((sources, 2)))[:, half]
    values[0] += shift
    return values, sides


@pytest.mark.parametrize("training", [0.0, 0.004, 0.012])
@pytest.mark.parametrize("sources", [2, 5])
def test_equal_sources_are_told_apart_in_at_most_five_per_cent_of_runs(sources: int, training: float) -> None:
    random = np.random.default_rng(11)
    wrong = 0
    for _ in range(ROUNDS):
        values, sides = world(random, sources, training)
        part = training_variance(values, sides)
        p = [difference(values[a], values[b], part).p_value for a in range(sources) for b in range(a)]
        wrong += bool((holm(np.array(p)) < 0.05).any())
    # 25 are expected where every run has the full 5 %: three standard deviations of chance are 15
    assert wrong <= 40


@pytest.mark.parametrize("training", [0.0, 0.004, 0.012])
@pytest.mark.parametrize("sources", [2, 5])
def test_a_look_that_the_best_source_chose_tells_equal_sources_apart_no_oftener(sources: int, training: float) -> None:
    """Four looks, all as good as each other: the choice is by chance alone.

    The trainings to two looks share 0.8 of their variance; from look to look it was 0.9 on six collections.
    """
    random = np.random.default_rng(17)
    wrong, chosen = 0, set()
    for _ in range(ROUNDS):
        values, sides = world(random, sources, training * np.sqrt(0.8))
        looks = np.repeat(values[:, :, None], 4, axis=2)
        for halving, half in enumerate(sides):
            own = training * np.sqrt(0.2) * random.standard_normal((sources, 4, 2))
            looks[:, halving] += own[:, :, half] + 0.05 * random.standard_normal((sources, 4, QUERIES))
        counted, at = judged_by(np.stack([looks, looks], axis=3))
        chosen.add(counted[0])
        at = at[:, :, NDCG]
        part = training_variance(at, sides)
        p = [difference(at[a], at[b], part).p_value for a in range(sources) for b in range(a)]
        wrong += bool((holm(CHOICE * np.array(p)) < 0.05).any())
    assert chosen == {0, 1, 2}
    assert wrong <= 40


def test_looks_are_those_where_the_best_source_is_best_and_hybrids_do_not_choose_them() -> None:
    means = np.array(
        [[0.1, 0.3, 0.2], [0.0, 0.1, 0.25], [0.9, 0.0, 0.0], [0.0, 0.0, 0.5]]
    )  # by look; two sources, two hybrids
    values = np.broadcast_to(means[:, None, :, None, None], (4, 2, 3, 2, 5))
    looks, found = judged_by(values, [True, True, False, False])
    assert looks == [1, 2]
    np.testing.assert_allclose(found[:, 0, 0, 0], [0.25, 0.175, 0.0, 0.25])
    assert judged_by(values)[0] == [0, 1]
    assert judged_by(values[3:])[0] == [1, 2]  # there is no next one
    assert judged_by(values[:, :, :1])[0] == [0]


def test_intervals_hold_the_truth_and_real_differences_are_found() -> None:
    random = np.random.default_rng(12)
    covered = found = 0
    for _ in range(300):
        values, sides = world(random, 4, 0.004, shift=0.02)
        one = difference(values[0], values[1], training_variance(values, sides))
        covered += one.low <= 0.02 <= one.high
        found += one.p_value < 0.05
    assert 273 <= covered <= 297  # 285 expected
    assert found > 240


def test_the_variance_of_a_training_is_estimated_without_bias() -> None:
    random = np.random.default_rng(13)
    found = [training_variance(*world(random, 8, 0.01)).variance for _ in range(200)]
    assert np.mean(found) == pytest.approx(1e-4, rel=0.1)


def test_the_same_training_set_twice_is_no_difference() -> None:
    values, sides = world(np.random.default_rng(14), 3, 0.01)
    values[1] = values[0]
    assert difference(values[0], values[1], training_variance(values, sides)) == (0.0, 0.0, np.inf, 0.0, 0.0, 1.0)


def test_a_gain_is_over_the_frozen_encoder() -> None:
    values, sides = world(np.random.default_rng(15), 2, 0.004, shift=0.05)
    frozen = np.zeros_like(values[0]) + values[1].mean(axis=0)
    one = gain(values[0], frozen, sides)
    assert one.value == pytest.approx((values[0] - frozen).mean())
    assert one.low < one.value < one.high and one.p_value < 0.05


@pytest.mark.parametrize("decide", ["top", "all"])
def test_a_run_that_stops_by_the_probe_names_a_wrong_leader_in_at_most_one_minus_p(decide: str) -> None:
    """Nested samples of three equal sources, looked at four times: whatever is declared beyond a tie is wrong."""
    random, wrong, tied = np.random.default_rng(16), 0, 0
    for _ in range(200):
        values, sides = world(random, 3, 0.004)
        for look in (75, 150, 300, 600):
            seen = values[:, :, :look]
            open_pairs = judge(["a", "b", "c"], seen, sides[:, :look], Question(decide, 0.9, 4), tolerance=0.0)
            if not open_pairs:
                wrong += 1
                break
        tied += not judge(["a", "b", "c"], values, sides, Question(decide, 0.9, 4), tolerance=0.1)
    assert wrong <= 30  # 20 are allowed on average
    assert tied > 190  # surely within ten points


def test_a_clear_leader_is_declared_and_the_open_pair_is_named() -> None:
    values, sides = world(np.random.default_rng(17), 3, 0.002, shift=0.1)
    assert judge(["a", "b", "c"], values, sides, Question("top", 0.95, 3), 0.0) == []
    (pair,) = judge(["a", "b", "c"], values, sides, Question("all", 0.95, 3), 0.0)
    assert set(pair) == {"b", "c"}
    assert judge(["a"], values[:1], sides, Question("all", 0.95, 3), 0.0) == []
