"""The order of the ranks: gain and information as standard scores, and decided pairs that nothing turns round."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.probing.evidence import evidence_of, informed, ranks_of

ALONE = [True, True, True, True]


def undecided(count: int) -> np.ndarray:
    return np.zeros((count, count), dtype=bool)


def test_evidence_is_the_mean_of_two_standard_scores() -> None:
    gains, information = [1.0, 2.0, 3.0, 6.0], [np.exp(3), np.exp(2), np.exp(1), np.exp(4)]
    # deviations 1.8708 and 1.1180 about 3 and 2.5
    expected = [
        (-2 / 1.870829 + 0.5 / 1.118034) / 2,
        (-1 / 1.870829 - 0.5 / 1.118034) / 2,
        (0 - 1.5 / 1.118034) / 2,
        (3 / 1.870829 + 1.5 / 1.118034) / 2,
    ]
    assert evidence_of(gains, information, ALONE) == pytest.approx(expected, rel=1e-5)


def test_a_source_with_more_information_goes_before_one_that_gains_little_more() -> None:
    gains = [0.0100, 0.0102, 0.0150, 0.0]
    evidence = evidence_of(gains, [9.0, 0.5, 10.0, 0.1], ALONE)
    assert ranks_of(evidence, gains, undecided(4)).tolist() == [2, 3, 1, 4]


def test_a_decided_pair_stands_in_the_order_of_its_gains_whatever_the_evidence() -> None:
    gains, evidence = [0.03, 0.02, 0.01], np.array([-1.0, 0.0, 1.0])
    decided = undecided(3)
    decided[0, 2] = decided[2, 0] = True
    assert ranks_of(evidence, gains, decided).tolist() == [2, 1, 3]
    decided[1, 2] = decided[2, 1] = decided[0, 1] = decided[1, 0] = True
    assert ranks_of(evidence, gains, decided).tolist() == [1, 2, 3]


def test_no_order_of_ranks_goes_against_a_decided_pair() -> None:
    random = np.random.default_rng(7)
    for _ in range(100):
        count = int(random.integers(2, 12))
        gains, evidence = random.normal(size=count), random.normal(size=count)
        decided = np.triu(random.random((count, count)) < 0.4, 1)
        decided |= decided.T
        ranks = ranks_of(evidence, gains.tolist(), decided)
        assert sorted(ranks) == list(range(1, count + 1))
        above = decided & (gains[:, None] > gains[None, :])
        assert (ranks[:, None] < ranks[None, :])[above].all()


def test_two_sources_stand_in_the_order_of_their_gains() -> None:
    evidence = evidence_of([0.01, 0.02], [9.0, 1.0], [True, True])
    assert ranks_of(evidence, [0.01, 0.02], undecided(2)).tolist() == [2, 1]


def test_sources_of_the_same_information_stand_in_the_order_of_their_gains() -> None:
    gains = [0.01, 0.03, 0.02]
    evidence = evidence_of(gains, [2.0, 2.0, 2.0], ALONE[:3])
    assert ranks_of(evidence, gains, undecided(3)).tolist() == [3, 1, 2]


def test_a_training_file_without_information_counts_by_its_gain_on_the_scale_of_the_sources() -> None:
    gains, information = [1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 4.0, None]
    evidence = evidence_of(gains, information, [True, True, True, True])
    scale = np.std(gains)
    assert evidence[3] == pytest.approx((5.0 - np.mean(gains)) / scale)


def test_a_hybrid_has_the_mean_information_of_its_parts_and_does_not_change_the_scale() -> None:
    known = {"a": 1.0, "b": 3.0}
    assert informed(known, ["a", "b"]) == 2.0
    assert informed(known, ["a", "c"]) is None
    gains, information = [0.1, 0.2, 0.4], [1.0, 2.0, 4.0]
    without = evidence_of(gains, information, ALONE[:3])
    beside = evidence_of([*gains, 0.9], [*information, 3.0], [*ALONE[:3], False])
    assert beside[:3].tolist() == without.tolist()


def test_a_source_without_any_information_is_as_the_one_that_has_least() -> None:
    evidence = evidence_of([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 4.0], ALONE)
    assert evidence[0] == evidence[1] and np.isfinite(evidence).all()
