"""What a run is expected to take, by the sizes that it has: for `eci plan`, and for the time left while it runs."""

from __future__ import annotations

from itertools import combinations

from eci_sql.moments import is_few
from jobs.config import RunConfig
from jobs.probing.adapter import BATCH
from jobs.probing.sample import LEAST_QUERIES
from jobs.probing.trials import budget_of
from jobs.ranking.hybrids import BEST_OF
from jobs.ranking.mixtures import MOST

# Seconds of one core for a row through ingest, settle, exchange and score, as `make bench` shows them (d = 384).
ROW_SECONDS = 60e-6
FLOPS = 6e10  # of a core in the probe, as `make bench` shows them
TEXT_SECONDS = 0.03  # of one core for a text, until the encoder at hand has shown its speed
FACTOR_FLOPS = 1e10  # of a core in log-determinants and their gradients, in double precision
ENTRY_SECONDS = 45e-9  # of a core for an entry of a source's two published matrices
REST_SECONDS = 5.0


def row_seconds(rows: int, dim: int) -> float:
    """Return the core-seconds of the stages over triples."""
    return rows * ROW_SECONDS * (dim / 384)


def matrix_seconds(rows: int, dim: int, sources: int, folds: int) -> float:
    """Return the core-seconds of log-determinants, the best mixture and the published sums, which follow d and not the rows.

    Few rows are scored by their Gram matrices, which takes next to nothing.
    """
    found = sources * dim**2 * ENTRY_SECONDS
    product = 2 * dim**3 / FACTOR_FLOPS  # two signs: a factor is a third of it, with its inverse it is the whole
    if sources and not is_few(rows // sources, dim):
        found += sources * (folds + 1) * product / 3
    if sources > 1 and not is_few(rows, dim):
        # starts, and evaluations of each, as measured with 2 and 8 sources
        starts = 1 + len(list(combinations(range(min(sources, 4)), 2))) + min(sources, MOST)
        found += starts * 1.25 * min(sources, MOST) * product
    return found


def probe_cost(config: RunConfig, dim: int, queries: int, sources: int) -> tuple[int, float]:
    """Return the trials of a run's probe, and the core-seconds of one: its matrix products at FLOPS."""
    probe = config.probe
    used = min(queries, probe.queries)
    if config.no_probe or used < 2 * LEAST_QUERIES or not sources:
        return 0, 0.0
    tried = 1 + sources + len(list(combinations(range(min(sources, BEST_OF)), 2)))
    looks = len(budget_of(probe, 1.0).looks)
    training = 2 * probe.steps * 4 * BATCH * dim**2
    judging = looks * used * min(probe.pool, 2 * queries) * dim
    return tried * probe.halvings, (training + judging) / FLOPS


def stage_seconds(config: RunConfig, dim: int, rows: int, texts: int, sources: int) -> dict[str, float]:
    """Return about how long the stages after `vocabulary` take by the clock, by name.

    Args:
        texts: to embed at most, 0 with vectors.  rows: triples.
    """
    workers = config.cores()
    trials, seconds = probe_cost(config, dim, rows, sources)
    return {
        "embed": texts * TEXT_SECONDS / workers,
        "exchange": row_seconds(rows, dim) / 3 / workers,
        "score": row_seconds(rows, dim) / 3 / workers,
        "information": REST_SECONDS / 2 + matrix_seconds(rows, dim, sources, config.folds) / workers,
        "probe": trials * seconds / workers,
    }
