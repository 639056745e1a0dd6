"""Fine-tuning on vectors whose best adapter is known: it is found, by every seed, and wrong labels are worse than right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.probing.adapter import Examples
from jobs.validation.finetuning import OBJECTIVES, Evaluation, Grid, Outcome, finetune

DIM, TRAIN, HELD_OUT = 16, 300, 100
GRID = Grid((1e-4, 1e-2), (10, 60))


def units(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Documents, and queries that a fixed linear map has moved away from them."""
    random = np.random.default_rng(0)
    documents = units(random.standard_normal((TRAIN + 2 * HELD_OUT, DIM)))
    moved = documents @ (np.eye(DIM) + 0.35 * random.standard_normal((DIM, DIM)))
    return units(moved + 0.02 * random.standard_normal(moved.shape)), documents


def outcome(objective: str) -> tuple[Outcome, Evaluation]:
    queries, documents = vectors()
    own = np.arange(TRAIN)
    random = np.random.default_rng(1)
    right = Examples(queries[:TRAIN], documents[:TRAIN], own, own, random.integers(0, TRAIN, (TRAIN, 4)), own[:, None])
    wrong = replace(right, positive=random.permutation(own), relevant=np.full((TRAIN, 1), -1))
    held_out = []
    for start in (TRAIN, TRAIN + HELD_OUT):
        rows = slice(start, start + HELD_OUT)
        held_out.append(
            Evaluation(queries[rows], documents[TRAIN:], [{i - TRAIN: 1.0} for i in range(start, start + HELD_OUT)])
        )
    calls: list[None] = []
    found = finetune([right, wrong], *held_out, 0.05, objective, 2, GRID, lambda: calls.append(None))
    assert len(calls) == 2 * (len(GRID.rates) + 2)
    return found, held_out[1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_right_labels_beat_the_frozen_encoder_and_wrong_labels_do_not(objective: str) -> None:
    found, test = outcome(objective)
    frozen = test.metrics(None)[0].mean()
    right, wrong = found.ndcg.mean(axis=2)
    assert (right > frozen + 0.1).all()
    assert (wrong < frozen).all()
    assert found.ndcg.shape == found.mrr.shape == (2, 2, HELD_OUT)


def test_the_choice_is_the_best_that_was_tried() -> None:
    found, _ = outcome("negatives")
    tried = found.choice.tried
    assert set(tried) == {"0.0001 x 10", "0.0001 x 60", "0.01 x 10", "0.01 x 60"}
    assert tried[f"{found.choice.rate:g} x {found.choice.steps}"] == max(tried.values())
