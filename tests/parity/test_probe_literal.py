"""The probe against a literal reading of what it says: loops, float64, one query at a time."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.probing.measure import Budget, Vectors, measure
from jobs.probing.sample import Sample, half_of_passages

QUERIES, PASSAGES, DIM, TAU = 60, 90, 5, 0.1
LOOKS = (1, 2, 3, 6)
BUDGET = Budget(rate=0.01, steps=6, cutoff=3, temperature=TAU)


def units(random: np.random.Generator, rows: int) -> np.ndarray:
    vectors = random.standard_normal((rows, DIM))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def given() -> tuple[Sample, np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    ids = [np.sort(np.frombuffer(random.bytes(16 * n), dtype="S16")) for n in (QUERIES, PASSAGES)]
    labels = {(q, int(p)) for q in range(QUERIES) for p in random.integers(0, PASSAGES, random.integers(1, 4))}
    pairs = np.array(sorted(labels))
    triples = [
        (source, q, p, int(n))
        for q, p in pairs.tolist() for source in (0, 1) for n in random.integers(0, PASSAGES, 3)
        if (q, int(n)) not in labels
    ]  # fmt: skip
    pool = random.random(PASSAGES) < 0.8
    pool[pairs[:, 1]] = True
    sample = Sample(ids[0], ids[1], pool, pairs, np.unique(np.array(triples), axis=0))
    return sample, units(random, QUERIES), units(random, PASSAGES)


def literal(sample: Sample, q: np.ndarray, p: np.ndarray, triples: np.ndarray, halving: int) -> np.ndarray:
    """nDCG@3 and reciprocal rank of each query after 3 and after 6 steps, (2, 2, Q)."""
    half = [int(np.frombuffer(sample.passages[k : k + 1].tobytes(), ">u8")[1] >> np.uint64(halving)) & 1
            for k in range(PASSAGES)]  # fmt: skip
    positives = {k: sorted(b for a, b in sample.labels.tolist() if a == k) for k in range(QUERIES)}
    side = {k: half[positives[k][0]] for k in range(QUERIES)}
    found = np.zeros((len(LOOKS), 2, QUERIES))
    for train in (0, 1):
        groups: dict[tuple[int, int], list[int]] = {}
        for _, a, b, n in triples.tolist():
            if side[a] == half[b] == half[n] == train:
                groups.setdefault((a, b), []).append(n)
        examples = sorted(groups)
        order = np.random.default_rng(2 * halving + train)
        weights, mean, square = np.zeros((DIM, DIM)), np.zeros((DIM, DIM)), np.zeros((DIM, DIM))
        for step in range(1, 7):
            rows = order.permutation(np.arange(len(examples)))  # fewer than a batch: a step is a pass
            gradient = np.zeros((DIM, DIM))
            for a, b in (examples[row] for row in rows):
                u = q[a] + q[a] @ weights
                v = u / np.linalg.norm(u)
                those = [p[b], *(p[n] for n in groups[a, b])]
                share = np.exp([v @ x / TAU for x in those])
                share /= share.sum()
                share[0] -= 1
                toward = sum(s * x for s, x in zip(share, those, strict=True)) / TAU
                gradient += np.outer(q[a], (toward - v * (toward @ v)) / np.linalg.norm(u)) / len(examples)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            weights -= (
                0.01
                * (mean / (1 - 0.9**step))
                / (np.sqrt(square / (1 - 0.999**step)) + 1e-8 / np.sqrt(1 - 0.999**step))
            )
            if step in LOOKS:
                for a in (k for k in range(QUERIES) if side[k] != train):
                    u = q[a] + q[a] @ weights
                    ranked = [k for k in range(PASSAGES) if sample.pool[k] and half[k] == side[a]]
                    ranked.sort(key=lambda k: -(p[k] @ u))
                    relevant = [k for k in positives[a] if half[k] == side[a]]
                    gain = sum(1 / np.log2(i + 2) for i, k in enumerate(ranked[:3]) if k in relevant)
                    best = sum(1 / np.log2(i + 2) for i in range(min(3, len(relevant))))
                    hit = next((1 / (i + 1) for i, k in enumerate(ranked[:3]) if k in relevant), 0.0)
                    found[LOOKS.index(step), :, a] = gain / best, hit
    return found


@pytest.mark.parametrize("halving", [0, 3])
@pytest.mark.parametrize("source", [0, 1])
def test_the_probe_is_what_it_says(given, source: int, halving: int) -> None:
    sample, q, p = given
    triples = sample.triples[sample.triples[:, 0] == source]
    vectors = Vectors(q.astype(np.float32), p.astype(np.float32))
    found, covered = measure(sample, vectors, triples, halving, BUDGET)
    assert BUDGET.looks == LOOKS
    expected = literal(sample, q, p, triples, halving)
    # a rank may turn where float32 has two similarities nearly equal: few do
    assert (np.abs(found - expected) < 1e-9).mean() > 0.98
    np.testing.assert_allclose(found.mean(axis=2), expected.mean(axis=2), atol=0.01)
    assert covered == len(np.unique(triples[:, 1]))


def test_the_frozen_encoder_is_what_training_starts_from(given) -> None:
    sample, q, p = given
    vectors = Vectors(q.astype(np.float32), p.astype(np.float32))
    frozen, _ = measure(sample, vectors, sample.triples[:0], 0, BUDGET)
    still, _ = measure(sample, vectors, sample.triples, 0, BUDGET._replace(rate=1e-12))
    np.testing.assert_array_equal(frozen, still)


def test_both_halves_of_the_passages_are_there(given) -> None:
    assert 30 < half_of_passages(given[0].passages, 0).sum() < 60
