"""The adapter's gradient against finite differences, and what training starts from and leads to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.probing.adapter import Examples, adapted, loss_and_gradient, train

TAU = 0.05


def units(rows: int, dim: int, seed: int, kind: type = np.float32) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(kind)


def examples(dim: int = 6, kind: type = np.float32) -> Examples:
    """Twelve queries, each with its own positive and three negatives (one of them missing for some)."""
    random = np.random.default_rng(3)
    negatives = random.integers(12, 40, (12, 3))
    negatives[::4, 2] = -1
    own = np.arange(12)
    relevant = np.stack([own, np.where(own == 5, 6, -1)], axis=1)
    return Examples(units(12, dim, 1, kind), units(40, dim, 2, kind), own, own, negatives, relevant)


@pytest.mark.parametrize("in_batch", [False, True])
def test_gradient_equals_finite_differences(in_batch: bool) -> None:
    given, rows = examples(kind=np.float64), np.arange(12)
    weights = np.random.default_rng(4).standard_normal((6, 6)) * 0.1
    _, gradient = loss_and_gradient(given, rows, weights, TAU, given.negatives[rows], in_batch=in_batch)
    step, expected = 1e-6, np.empty((6, 6))
    for place in np.ndindex(6, 6):
        losses = []
        for sign in (1, -1):
            moved = weights.copy()
            moved[place] += sign * step
            losses.append(loss_and_gradient(given, rows, moved, TAU, given.negatives[rows], in_batch=in_batch)[0])
        expected[place] = (losses[0] - losses[1]) / (2 * step)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_loss_is_the_cross_entropy_of_the_positive_among_its_negatives() -> None:
    given = examples(kind=np.float64)
    loss, _ = loss_and_gradient(given, np.array([1]), np.zeros((6, 6)), TAU, given.negatives[[1]], in_batch=False)
    candidates = given.documents[[1, *given.negatives[1]]] @ given.queries[1] / TAU
    assert loss == pytest.approx(np.log(np.exp(candidates).sum()) - candidates[0])


def test_a_labelled_positive_of_another_example_is_no_in_batch_negative() -> None:
    given, rows = examples(kind=np.float64), np.array([5, 6])
    none = replace(given, negatives=np.full((12, 1), -1))
    loss, _ = loss_and_gradient(none, rows, np.zeros((6, 6)), TAU, none.negatives[rows], in_batch=True)
    other = (given.documents[5] - given.documents[6]) @ given.queries[6] / TAU
    assert loss == pytest.approx(np.log1p(np.exp(other)) / 2)


def test_zero_steps_are_the_frozen_encoder() -> None:
    given = examples()
    (weights,) = train(given, TAU, 1e-3, (0,), in_batch=True, seed=0)
    np.testing.assert_array_equal(weights, np.zeros((6, 6)))
    np.testing.assert_allclose(adapted(given.queries, weights), given.queries, atol=1e-7)


@pytest.mark.parametrize("in_batch", [False, True])
def test_training_lowers_the_loss_and_repeats_exactly_for_a_seed(in_batch: bool) -> None:
    given, rows = examples(), np.arange(12)
    early, late = train(given, TAU, 1e-2, (5, 50), in_batch=in_batch, seed=1)
    again = list(train(given, TAU, 1e-2, (5, 50), in_batch=in_batch, seed=1))
    losses = [
        loss_and_gradient(given, rows, w, TAU, given.negatives[rows], in_batch=in_batch)[0]
        for w in (early * 0, early, late)
    ]
    assert losses[0] > losses[1] > losses[2]
    np.testing.assert_array_equal(again[1], late)


def test_examples_without_negatives_train_nothing_but_in_batch() -> None:
    given = replace(examples(), negatives=np.full((12, 2), -1))
    (alone,) = train(given, TAU, 1e-2, (3,), in_batch=False, seed=0)
    (batch,) = train(given, TAU, 1e-2, (3,), in_batch=True, seed=0)
    assert not alone.any() and batch.any() and np.isfinite(batch).all()
