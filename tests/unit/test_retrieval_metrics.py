"""nDCG@10 and reciprocal rank against values worked out by hand, and against the definition in a loop; Kendall's tau."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.retrieval.metrics import gains_of, kendall_tau, ndcg, reciprocal_rank


def test_values_worked_out_by_hand() -> None:
    # query 0: relevant 7 (grade 1) at rank 2; query 1: grades 2 and 1 at ranks 3 and 1; query 2: nothing found
    ranking = np.array([[3, 7, 1], [5, 2, 4], [0, 1, -1]])
    relevant = [{7: 1.0}, {4: 2.0, 5: 1.0}, {9: 1.0}]
    gains = gains_of(ranking, relevant)
    by_hand = [1 / math.log2(3), (1 + 2 / 2) / (2 + 1 / math.log2(3)), 0.0]
    assert ndcg(gains, relevant).tolist() == pytest.approx(by_hand)
    assert reciprocal_rank(gains).tolist() == [0.5, 1.0, 0.0]


def test_ranks_below_ten_do_not_count() -> None:
    ranking = np.arange(12)[None, :]
    gains = gains_of(ranking, [{10: 1.0}])
    assert ndcg(gains, [{10: 1.0}]).tolist() == [0.0]
    assert reciprocal_rank(gains).tolist() == [0.0]


def test_the_ideal_has_ten_places_however_many_are_relevant() -> None:
    relevant = [dict.fromkeys(range(30), 1.0)]
    assert ndcg(gains_of(np.arange(10)[None, :], relevant), relevant).tolist() == [1.0]


def test_a_query_without_relevant_documents_scores_zero() -> None:
    gains = gains_of(np.array([[0, 1]]), [{}])
    assert ndcg(gains, [{}]).tolist() == [0.0]


def test_ndcg_equals_its_definition_on_random_rankings() -> None:
    random = np.random.default_rng(0)
    ranking = np.array([random.permutation(40)[:10] for _ in range(50)])
    relevant = [{int(d): float(random.integers(1, 4)) for d in random.permutation(40)[:6]} for _ in range(50)]
    expected = []
    for row, grades in zip(ranking.tolist(), relevant, strict=True):
        found = sum(grades.get(d, 0) / math.log2(rank + 2) for rank, d in enumerate(row))
        ideal = sum(g / math.log2(rank + 2) for rank, g in enumerate(sorted(grades.values(), reverse=True)))
        expected.append(found / ideal)
    np.testing.assert_allclose(ndcg(gains_of(ranking, relevant), relevant), expected)


def test_kendalls_tau_counts_pairs_and_is_not_defined_without_them() -> None:
    assert kendall_tau([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == pytest.approx(1 / 3)
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / np.sqrt(2 * 3))
    assert kendall_tau([1.0], [2.0]) is kendall_tau([], []) is kendall_tau([1, 1], [1, 2]) is None
