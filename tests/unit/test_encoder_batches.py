"""Batches: pure, complete, within the token budget."""

import random

import pytest

from onnx_models.batching import token_batches


def padded(lengths: list[int], batch: list[int]) -> int:
    return len(batch) * max(lengths[index] for index in batch)


def test_every_text_comes_once_and_batches_keep_the_budget() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(2, 256) for _ in range(1000)]
    batches = [batch.tolist() for batch in token_batches(lengths, 512)]
    assert sorted(index for batch in batches for index in batch) == list(range(1000))
    assert all(padded(lengths, batch) <= 512 for batch in batches)


def test_batches_go_by_length_and_ties_by_input_order() -> None:
    assert [b.tolist() for b in token_batches([3, 2, 3, 2, 9], 6)] == [[1, 3], [0, 2], [4]]


def test_a_text_over_the_budget_runs_alone() -> None:
    assert [b.tolist() for b in token_batches([600, 5], 512)] == [[1], [0]]


def test_budget_one_means_one_text_a_batch() -> None:
    assert [b.tolist() for b in token_batches([1, 0, 4, 1], 1)] == [[0], [1], [3], [2]]


def test_no_texts_make_no_batches() -> None:
    assert token_batches([]) == []


def test_a_budget_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="budget is 0"):
        token_batches([1], 0)
