"""Over many lakes whose true order is known, a run that stops early declares a wrong answer in at most 1 - P of them.

Each lake has sources of examples drawn from known distributions of weighted residuals, ties and near ties among them; the
looks, the scores, the jackknife and the decision are the project's own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from eci_sql.information import score_means
from eci_sql.sequential import Look, corrected, judge, one_sided_level

DIM, FOLDS, SOURCES = 6, 32, 4
SIZES = (500, 1000, 2000, 4000)
PROBABILITY = 0.9


def draw(rng: np.random.Generator, spread: np.ndarray, bad: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted residuals (n, DIM) and signs (n,): a share `bad` of the examples is distrusted."""
    rows = rng.standard_normal((n, DIM)) * spread * rng.exponential(1.0, (n, 1)) ** 0.5
    return rows, np.where(rng.random(n) < bad, -1, 1)


def estimates(rows: np.ndarray, signs: np.ndarray, fold: np.ndarray) -> tuple[float, np.ndarray]:
    sums = np.zeros((2, FOLDS, DIM, DIM))
    for sign, k in ((1, 0), (-1, 1)):
        for f in range(FOLDS):
            chosen = rows[(signs == sign) & (fold == f)]
            sums[k, f] = chosen.T @ chosen
    counts = np.bincount(fold, minlength=FOLDS)
    whole, n = sums.sum(axis=1), len(rows)
    leave = [score_means((whole[0] - sums[0, f]) / (n - counts[f]), (whole[1] - sums[1, f]) / (n - counts[f]), 1.0).eci
             for f in range(FOLDS)]  # fmt: skip
    return score_means(whole[0] / n, whole[1] / n, 1.0).eci, np.array(leave)


def truth(spread: np.ndarray, bad: float) -> float:
    second = np.diag(spread**2)
    return score_means((1 - bad) * second, bad * second, 1.0).eci


STEPS = {"top": (1.0, 1.0, 1.01, 1.03, 1.1), "all": (1.0, 1.02, 1.15, 1.3, 1.5)}


def lake(rng: np.random.Generator, question: str) -> tuple[list[tuple[np.ndarray, float]], np.ndarray]:
    """Sources near one another: exact ties, near ties of a few per cent, and clear differences at times."""
    base = 0.05 + 0.1 * rng.random(DIM)
    kinds = []
    for _ in range(SOURCES):
        scale = rng.choice(STEPS[question])
        kinds.append((base * scale, float(rng.choice([0.05, 0.05, 0.06, 0.1]))))
    return kinds, np.array([truth(*kind) for kind in kinds])


def run(
    rng: np.random.Generator, kinds: list[tuple[np.ndarray, float]], question: str, tolerance: float
) -> tuple[Look, int]:
    examples = [draw(rng, *kind, SIZES[-1]) for kind in kinds]
    fold = rng.integers(0, FOLDS, SIZES[-1])
    for size in SIZES:
        found = [estimates(rows[:size], signs[:size], fold[:size]) for rows, signs in examples]
        eci, leave_out = np.array([e for e, _ in found]), np.stack([out for _, out in found])
        look = judge(eci, leave_out, question, len(SIZES), PROBABILITY, tolerance)  # type: ignore[arg-type]
        if look.decided:
            return look, size
    return look, SIZES[-1]


@pytest.mark.slow
@pytest.mark.parametrize("question", ["top", "all"])
def test_a_wrong_answer_is_declared_in_no_more_than_the_promised_share(
    question: str, record_property: Callable[[str, object], None]
) -> None:
    rng = np.random.default_rng(20)
    wrong = decided = 0
    lakes = 500
    for _ in range(lakes):
        kinds, true = lake(rng, question)
        tolerance = float(rng.choice([0.0, 0.02, 0.05] if question == "top" else [0.0, 0.1, 0.2]))
        look, _ = run(rng, kinds, question, tolerance)
        if not look.decided:
            continue
        decided += 1
        allowed = true.max() * tolerance + 1e-12
        pairs = (
            [(look.order[0], k) for k in look.order[1:]]
            if question == "top"
            else list(zip(look.order, look.order[1:], strict=False))
        )
        wrong += any(true[b] - true[a] > allowed for a, b in pairs)
    record_property("decided, wrong", f"{decided}, {wrong} of {lakes}")
    assert decided > lakes // 10, "the rule never decides"
    assert wrong <= (1 - PROBABILITY) * lakes


def test_a_clear_leader_is_declared_at_the_first_look() -> None:
    rng = np.random.default_rng(3)
    spread = 0.1 * np.ones(DIM)
    kinds = [(spread, 0.05), (spread * 2, 0.05), (spread * 0.5, 0.3)]
    look, size = run(rng, kinds, "top", 0.0)
    assert look.decided and look.order[0] == 1 and size == SIZES[0]


def test_equal_sources_stay_open_without_a_tolerance_and_are_a_tie_with_one() -> None:
    rng = np.random.default_rng(4)
    kinds = [(0.1 * np.ones(DIM), 0.05)] * 2
    open_look, size = run(rng, kinds, "top", 0.0)
    assert not open_look.decided and size == SIZES[-1] and len(open_look.open_pairs) == 1
    tie, _ = run(rng, kinds, "top", 0.5)
    assert tie.decided


def test_the_jackknife_takes_the_bias_of_small_samples_off() -> None:
    rng = np.random.default_rng(5)
    spread = 0.3 * np.ones(DIM)
    plain, better = [], []
    for _ in range(60):
        eci, leave_out = estimates(*draw(rng, spread, 0.1, 200), rng.integers(0, FOLDS, 200))
        plain.append(eci)
        better.append(corrected(eci, leave_out))
    target = truth(spread, 0.1)
    assert abs(np.mean(better) - target) < abs(np.mean(plain) - target)


def test_levels_are_shared_out_over_looks_and_comparisons() -> None:
    assert one_sided_level("top", 5, 4, 0.95) == pytest.approx(0.05 / 16)
    assert one_sided_level("all", 5, 4, 0.95) == pytest.approx(0.05 / 40)
    assert one_sided_level("top", 2, 1, 0.95) == pytest.approx(0.05)
