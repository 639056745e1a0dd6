"""Fine-tuning one adapter for each source and seed, and what it retrieves on held-out queries.

The learning rate and the number of steps are chosen once for each objective: those with the best nDCG@10 on the dev
queries on average over all sources, so that no source is tuned and none is favoured. Trainings are independent and run
in threads, each with one BLAS thread: the numbers do not depend on how many cores there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from jobs.probing.adapter import Examples, adapted, train
from jobs.retrieval.metrics import CUTOFF, gains_of, ndcg, reciprocal_rank
from jobs.retrieval.rankings import dense_rank

RATES = (1e-4, 3e-4, 1e-3)
STEPS = (50, 100, 200, 400)
OBJECTIVES = ("negatives", "in-batch")
CHOICE_SEED = 1000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """Queries (Q, d) and documents (P, d) float32 unit vectors, and the grades of each query by document row."""

    queries: Floats
    documents: Floats
    relevant: list[dict[int, float]]

    def metrics(self, weights: Floats | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return nDCG@10 and reciprocal rank at 10 of each query, (Q,) each; without weights of the frozen encoder."""
        queries = self.queries if weights is None else adapted(self.queries, weights)
        ranking, _ = dense_rank(queries, self.documents, min(CUTOFF, len(self.documents)))
        gains = gains_of(ranking, self.relevant)
        return ndcg(gains, self.relevant), reciprocal_rank(gains)


@dataclass(frozen=True)
class Grid:
    """The learning rates and numbers of steps (ascending) to choose from."""

    rates: tuple[float, ...] = RATES
    steps: tuple[int, ...] = STEPS


@dataclass(frozen=True)
class Choice:
    """The learning rate and steps of an objective, and mean dev nDCG@10 of every (rate, steps) that was tried."""

    rate: float
    steps: int
    tried: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What fine-tuning gave under one objective: nDCG@10 and reciprocal rank at 10, (S, K, Q) each."""

    choice: Choice
    ndcg: NDArray[np.float64]
    mrr: NDArray[np.float64]


def finetune(
    sources: Sequence[Examples],
    dev: Evaluation,
    test: Evaluation,
    temperature: float,
    objective: str,
    seeds: int,
    grid: Grid,
    advance: Callable[[], None],
) -> Outcome:
    """Choose rate and steps on `dev`, train every source with every seed, evaluate on `test`.

    Args:
        sources: the training data of the S sources.
        dev, test: held-out queries.
        temperature: tau.
        objective: one of OBJECTIVES.
        seeds: K.
        grid: what to choose from.
        advance: called after each training; there are S * (len(grid.rates) + seeds).
    """
    in_batch = objective == "in-batch"

    def try_rate(task: tuple[Examples, float]) -> list[float]:
        trained = train(task[0], temperature, task[1], grid.steps, in_batch=in_batch, seed=CHOICE_SEED)
        found = [float(dev.metrics(weights)[0].mean()) for weights in trained]
        advance()
        return found

    def measure(task: tuple[Examples, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        (weights,) = train(task[0], temperature, choice.rate, (choice.steps,), in_batch=in_batch, seed=task[1])
        found = test.metrics(weights)
        advance()
        return found

    with threadpool_limits(1), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        tried = np.array(list(pool.map(try_rate, [(s, rate) for rate in grid.rates for s in sources])))
        choice = _choose(grid, tried.reshape(len(grid.rates), len(sources), len(grid.steps)).mean(axis=1))
        results = list(pool.map(measure, [(s, seed) for s in sources for seed in range(seeds)]))
    shape = (len(sources), seeds, -1)
    return Outcome(choice, *(np.array([r[i] for r in results]).reshape(shape) for i in range(2)))


def _choose(grid: Grid, means: NDArray[np.float64]) -> Choice:
    """Return the best of (rates, steps); the smallest rate and fewest steps of equals."""
    rate, step = np.unravel_index(int(means.argmax()), means.shape)
    tried = {f"{r:g} x {s}": float(means[i, k]) for i, r in enumerate(grid.rates) for k, s in enumerate(grid.steps)}
    return Choice(grid.rates[rate], grid.steps[step], tried)
