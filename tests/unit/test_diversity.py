"""The greedy choice equals the plain one, and takes no residual twice."""

from __future__ import annotations

import numpy as np
import pytest

from eci_sql.diversity import TWIN, Chooser, Quotas


def quotas(n: int, total: int, per_query: int = 1 << 30, queries: np.ndarray | None = None) -> Quotas:
    asked = np.arange(n) if queries is None else queries
    return Quotas(np.zeros(n, dtype=np.int64), np.array([total]), asked.astype(np.int64), per_query)


def plain_greedy(rows: np.ndarray, weight: np.ndarray, scale: float, total: int) -> list[int]:
    system, taken = np.eye(rows.shape[1]), []
    for _ in range(total):
        solved = np.linalg.solve(system, rows.T).T
        gain = weight * np.einsum("ij,ij->i", solved, rows)
        gain[taken] = -np.inf
        best = int(np.argmax(gain))
        taken.append(best)
        system += scale * weight[best] * np.outer(rows[best], rows[best])
    return taken


@pytest.mark.parametrize("scale", [0.05, 2.0])
def test_the_lazy_choice_is_the_plain_greedy_one(scale: float) -> None:
    rng = np.random.default_rng(1)
    rows, weight = rng.standard_normal((2_000, 9)), rng.uniform(0.01, 0.3, 2_000)
    found = Chooser(9, scale).choose(rows, weight, quotas(2_000, 150))
    assert found.tolist() == plain_greedy(rows, weight, scale, 150)


def test_near_identical_residuals_are_not_taken_twice() -> None:
    rng = np.random.default_rng(2)
    base = rng.standard_normal((300, 16))
    rows = np.concatenate([base, base * 1.5 + 1e-3 * rng.standard_normal(base.shape)])
    found = Chooser(16, 0.01).choose(rows, np.full(600, 0.2), quotas(600, 600))
    unit = rows[found] / np.linalg.norm(rows[found], axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(len(unit))
    assert len(found) == 300
    assert cosines.max() <= TWIN


def test_quotas_of_groups_and_queries_hold() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((500, 12))
    groups, queries = rng.integers(0, 2, 500), rng.integers(0, 40, 500)
    limits = Quotas(groups.astype(np.int64), np.array([30, 10]), queries.astype(np.int64), 2)
    found = Chooser(12, 0.1).choose(rows, np.full(500, 0.1), limits)
    assert np.bincount(groups[found]).tolist() == [30, 10]
    assert np.bincount(queries[found]).max() <= 2
