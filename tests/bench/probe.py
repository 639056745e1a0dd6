"""The probe against its limit: core-seconds of ten sources, and the share of them that its matrix products take alone.

Unit vectors of 384 dimensions, 2,000 queries of one positive and four negatives a source, 10,000 passages in the pool:
the default settings at their full size. One trial of each kind is timed, and there are as many as a run has.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from jobs.config import Probe
from jobs.probing.adapter import BATCH
from jobs.probing.measure import Vectors, measure
from jobs.probing.sample import Sample
from jobs.probing.trials import budget_of

DIM, SOURCES, NEGATIVES = 384, 10, 4
BEST_OF_THREE_IN_PAIRS = 3


def sample_of(probe: Probe) -> tuple[Sample, Vectors]:
    """Return a sample of one source at the full size of the settings."""
    random = np.random.default_rng(0)
    queries, passages = probe.queries, probe.pool
    ids = [np.sort(np.frombuffer(random.bytes(16 * n), dtype="S16")) for n in (queries, passages)]
    vectors = [random.standard_normal((n, DIM)).astype(np.float32) for n in (queries, passages)]
    unit = Vectors(*(v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors))
    labels = np.stack([np.arange(queries), random.permutation(passages)[:queries]], axis=1)
    each = np.repeat(labels, NEGATIVES, axis=0)
    triples = np.column_stack([np.zeros(len(each), np.int64), each, random.integers(0, passages, len(each))])
    return Sample(ids[0], ids[1], np.ones(passages, dtype=bool), labels, triples), unit


def products(probe: Probe) -> float:
    """Core-seconds of the matrix products of one trial, and nothing else: two a step, and one a look and half."""
    random = np.random.default_rng(1)
    square, batch = (random.standard_normal((n, DIM)).astype(np.float32) for n in (DIM, BATCH))
    queries, passages = (random.standard_normal((n // 2, DIM)).astype(np.float32) for n in (probe.queries, probe.pool))
    started = time.process_time()
    for _ in range(2 * probe.steps):
        _ = batch @ square
        _ = batch.T @ batch
    for _ in range(2 * len(budget_of(probe, 0.05).looks)):
        for start in range(0, len(queries), 128):
            _ = queries[start : start + 128] @ passages.T
    return time.process_time() - started


def measure_probe(repeats: int = 3) -> dict[str, Any]:
    """Return core-seconds of ten sources with their best three in pairs, and the products' share of a trial."""
    probe = Probe()
    sample, vectors = sample_of(probe)
    budget = budget_of(probe, 0.05)

    def trial() -> float:
        started = time.process_time()
        measure(sample, vectors, sample.triples, 0, budget)
        return time.process_time() - started

    with threadpool_limits(1, "blas"):
        pairs = [(trial(), products(probe)) for _ in range(repeats)]
    each = median(seconds for seconds, _ in pairs)
    return {
        "core_seconds_of_a_trial": round(each, 2),
        "core_seconds_of_ten_sources": round(SOURCES * probe.halvings * each, 1),
        "and_their_best_in_pairs": round((SOURCES + BEST_OF_THREE_IN_PAIRS) * probe.halvings * each, 1),
        "products_share_of_a_trial": round(median(bare / whole for whole, bare in pairs), 2),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"bench": "probe", **measure_probe()}) + "\n")
