"""Nested samples of the queries: which parts each look adds, and what a look says.

Queries have a sample position in [0, 1); the sample of a share phi is the queries below phi. Parts are cut at 1/2, 1/4, ...,
so the looks at the shares 2^-k, 2^-(k-1), ..., 1 each add whole parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eci_sql.sequential import judge
from jobs.config import RunConfig
from jobs.work.job import Job
from jobs.work.layout import PartRange
from jobs.work.summaries import Information, Settled

FIRST_QUERIES = 1000
ABOUT = 0.7


@dataclass(frozen=True)
class Looks:
    """The looks that a run may take. `parts` are those that each adds; `whole`: one look at everything.

    `queries`, `rows`: how many of them each look has seen, its own and the former ones' together.
    """

    parts: tuple[list[PartRange], ...]
    queries: tuple[int, ...]
    rows: tuple[int, ...]
    all_queries: int
    all_rows: int
    whole: bool


@dataclass(frozen=True)
class Sample:
    """How much of the queries a run has used, and what it has decided by then (None: it was not asked).

    `open_pairs` are pairs of sources that are not ordered at the level asked for, the better one first.
    """

    queries: int
    all_queries: int
    rows_left: int
    looks: int
    decided: bool | None
    open_pairs: tuple[tuple[str, str], ...]

    @property
    def share(self) -> float:
        """The share of the queries that was used."""
        return self.queries / self.all_queries if self.all_queries else 1.0


def plan_looks(settled: Mapping[str, Settled], sequential: bool, at_least: int | None) -> Looks:
    """Plan the looks from what `settle` found.

    Args:
        settled: by the names of the folds.
        sequential: look after about FIRST_QUERIES queries, then double.
        at_least: take one look, at the smallest nested sample of at least so many queries.
    """
    by_band: dict[int, int] = {}
    for summary in settled.values():
        for name, count in summary["queries"].items():
            by_band[int(name)] = by_band.get(int(name), 0) + count
    total = sum(by_band.values())
    if not sequential and at_least is None:
        bands = [0]
    else:
        needed = min(at_least or ABOUT * FIRST_QUERIES, total)
        enough = [k for k in range(max(by_band) + 1) if _within(by_band, k) >= needed]
        bands = list(range(max(enough), -1, -1)) if sequential else [max(enough)]
    parts, rows, seen = [], [], dict.fromkeys(settled, 0)
    done = 0
    for band in bands:
        added: list[PartRange] = []
        for fold, summary in settled.items():
            stop = sum(b >= band for b in summary["bands"]) if band else len(summary["parts"])
            added.append(PartRange(int(fold), seen[fold], stop))
            done += sum(summary["parts"][seen[fold] : stop])
            seen[fold] = stop
        parts.append(added)
        rows.append(done)
    return Looks(
        tuple(parts),
        tuple(_within(by_band, band) for band in bands),
        tuple(rows),
        total,
        sum(sum(s["parts"]) for s in settled.values()),
        not sequential and at_least is None,
    )


def _within(by_band: dict[int, int], band: int) -> int:
    return sum(count for b, count in by_band.items() if b >= band)


def judge_look(
    looks: Looks, number: int, found: Sequence[Information], sources: list[str], config: RunConfig, job: Job
) -> Sample:
    """Return what is known after look `number`; `found`: results of `information_task`, by source."""
    decided: bool | None = None
    open_pairs: tuple[tuple[str, str], ...] = ()
    if config.until_decided is not None:
        scored = [i for i, result in enumerate(found) if result["n_examples"]]
        decided = len(scored) < 2
        if not decided:
            eci = np.array([found[i]["eci"] for i in scored])
            leave_out = np.stack([leave_out_of(found[i], job.folds) for i in scored])
            look = judge(eci, leave_out, config.decide, len(looks.parts), config.until_decided, config.tolerance)
            decided = look.decided
            open_pairs = tuple((sources[scored[a]], sources[scored[b]]) for a, b in look.open_pairs)
    return Sample(
        looks.queries[number], looks.all_queries, looks.all_rows - looks.rows[number], number + 1, decided, open_pairs
    )


def leave_out_of(result: Information | Mapping[str, Any], folds: int) -> np.ndarray:
    """Return a source's delete-one values, float64 (folds,), nan for folds without examples."""
    values = np.full(folds, np.nan)
    for fold, value in result["leave_out"].items():
        values[int(fold)] = value
    return values
