"""Mixtures: sums merge, the best one is found, and the order of sources does not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eci_sql.errors import MetricError
from eci_sql.folds import FoldMatrices, Folds, pooled
from eci_sql.information import Score, score_means
from eci_sql.leave_out import delete_one
from eci_sql.mixtures import best_mixture, delete_one_mix

Means = tuple[np.ndarray, np.ndarray]
property_test = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def sources(count: int, dim: int, seed: int, polluted: float = 0.3) -> Means:
    """(S, d, d) mean matrices of either sign, of random rank and size."""
    rng = np.random.default_rng(seed)

    def matrix(scale: float) -> np.ndarray:
        factor = rng.standard_normal((dim, int(rng.integers(1, dim + 1))))
        factor *= np.sqrt(scale * rng.uniform(0.1, 1.0)) / np.linalg.norm(factor)
        return np.asarray(factor @ factor.T)

    return (
        np.stack([matrix(1.0) for _ in range(count)]),
        np.stack([matrix(polluted) for _ in range(count)]),
    )


def folds(seed: int, count: int = 4, dim: int = 3) -> Folds:
    rng = np.random.default_rng(seed)
    upper = np.triu_indices(dim)
    rows = np.rint(rng.standard_normal((2, count, 8, dim)) * 2**18).astype(np.int64)
    plus, minus = (np.stack([(block.T @ block)[upper] for block in sign]) for sign in rows)
    return Folds(FoldMatrices.of(plus), FoldMatrices.of(minus), rng.integers(5, 20, count))


def vertex_scores(means: Means) -> list[float]:
    return [score_means(plus, minus, 1.0).eci for plus, minus in zip(*means, strict=True)]


def mixed_eci(alpha: np.ndarray, means: Means) -> float:
    return score_means(np.tensordot(alpha, means[0], axes=1), np.tensordot(alpha, means[1], axes=1), 1.0).eci


@property_test
@given(seed=seeds, count=st.integers(1, 5))
def test_a_vertex_is_its_source(seed: int, count: int) -> None:
    parts = [folds(seed + number) for number in range(count)]
    for vertex, part in zip(np.eye(count), parts, strict=True):
        assert close(delete_one(part, 1.0)[0], delete_one_mix(vertex, parts, 1.0)[0])


@property_test
@given(seed=seeds, count=st.integers(1, 6), polluted=st.sampled_from([0.0, 0.1, 1.0, 5.0]))
def test_the_best_mixture_is_never_worse_than_the_best_vertex(seed: int, count: int, polluted: float) -> None:
    means = sources(count, 6, seed, polluted)
    best = best_mixture(*means, lam=1.0)
    assert best.eci >= max(vertex_scores(means))
    assert best.alpha.sum() == pytest.approx(1.0)
    assert (best.alpha >= 0.0).all()
    assert mixed_eci(best.alpha, means) == pytest.approx(best.eci, rel=1e-12)


@property_test
@given(seed=seeds, count=st.integers(2, 6))
def test_the_order_of_the_sources_does_not_matter(seed: int, count: int) -> None:
    plus, minus = sources(count, 6, seed)
    order = np.random.default_rng(seed).permutation(count)
    one, other = best_mixture(plus, minus, 1.0), best_mixture(plus[order], minus[order], 1.0)
    assert other.eci == pytest.approx(one.eci, abs=1e-9)
    np.testing.assert_allclose(other.alpha, one.alpha[order], atol=1e-9)


@property_test
@given(seed=seeds)
def test_no_random_mixture_beats_the_best_one(seed: int) -> None:
    means = sources(4, 6, seed, polluted=1.0)
    best = best_mixture(*means, lam=1.0)
    for alpha in np.random.default_rng(seed).dirichlet(np.full(4, 0.5), size=50):
        assert mixed_eci(alpha, means) <= best.eci + 1e-8


@property_test
@given(
    a=st.floats(0.2, 2.0),
    b=st.floats(0.2, 2.0),
    pure=st.floats(0.0, 0.0) | st.floats(0.01, 0.2),
)
def test_two_orthogonal_sources_meet_the_closed_form(a: float, b: float, pure: float) -> None:
    # I = (1/2) (log(1 + 2 a alpha) + log(1 + 2 b (1 - alpha))), J the same for every alpha:
    # the optimum is where a (1 + 2 b (1 - alpha)) = b (1 + 2 a alpha).
    plus = np.stack([np.diag([a, 0.0]), np.diag([0.0, b])])
    minus = np.stack([np.diag([pure, 0.0])] * 2)
    expected = np.clip((a - b + 2.0 * a * b) / (4.0 * a * b), 0.0, 1.0)
    assert best_mixture(plus, minus, 1.0).alpha == pytest.approx([expected, 1 - expected], abs=1e-6)


def test_a_dominating_source_is_left_alone() -> None:
    plus = np.stack([np.eye(3), np.eye(3) / 10])
    best = best_mixture(plus, np.zeros((2, 3, 3)), 1.0)
    assert best.alpha.tolist() == [1.0, 0.0]
    assert best.start == "alone"


def test_sources_without_information_have_a_mixture_of_zero() -> None:
    zeros = np.zeros((2, 3, 3))
    assert best_mixture(zeros, zeros, 1.0).eci == 0.0


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(MetricError, match="at least one"):
        best_mixture(np.zeros((0, 3, 3)), np.zeros((0, 3, 3)), 1.0)


@pytest.mark.parametrize("alpha", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0]])
def test_shares_off_the_simplex_are_refused(alpha: list[float]) -> None:
    with pytest.raises(MetricError, match="sum to 1"):
        delete_one_mix(np.array(alpha), [folds(1), folds(2)], 1.0)


def test_pooling_is_mixing_by_the_number_of_examples() -> None:
    parts = [folds(1), folds(2), folds(3)]
    shares = np.array([part.n.sum() for part in parts], dtype=np.float64)
    merged, _ = delete_one(pooled(parts), 1.0)
    mixed, _ = delete_one_mix(shares / shares.sum(), parts, 1.0)
    assert close(merged, mixed)


def test_a_mixture_of_one_part_is_the_part_fold_by_fold() -> None:
    parts = [folds(1), folds(2)]
    alone, alone_leave_out = delete_one(parts[1], 1.0)
    mixed, mixed_leave_out = delete_one_mix(np.array([0.0, 1.0]), parts, 1.0)
    assert close(alone, mixed)
    np.testing.assert_allclose(mixed_leave_out, alone_leave_out, rtol=1e-12)


def close(one: Score, other: Score) -> bool:
    return other.eci == pytest.approx(one.eci, rel=1e-12) and other.purity == pytest.approx(one.purity, rel=1e-12)
