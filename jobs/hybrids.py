"""Hybrids and mixtures in a run: sources pooled exactly, and the best mixture as a row of the ranking.

Covers: which sources a hybrid is made of; the tasks that score hybrids and the best mixture from moments.
Does not cover: the mathematics (eci_sql/mixtures.py), and mixtures of a finished run (mix.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.mixtures import Folds, Mixture, best_mixture, delete_one_mix, pooled
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from jobs import work
from jobs.config import ALL_PAIRS
from jobs.errors import InputError, nearest

BEST = "best mixture"
_CONTENT = ("run_id", "fold", "dim")


def resolve(hybrids: Mapping[str, tuple[str, ...]], sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return name -> parts of every hybrid, with all pairs written out, by name.

    Raises:
        InputError: a part is no source of the input, or a hybrid is called like one.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, parts in hybrids.items():
        for part in parts:
            if part not in sources:
                listed = ", ".join(sources)
                raise InputError(f"hybrid {name!r}: no source {part!r}{nearest(part, sources)}; sources: {listed}")
        if name == ALL_PAIRS:
            found |= {f"{a}+{b}": (a, b) for a, b in combinations(sorted(sources), 2)}
        else:
            found[name] = tuple(sorted(parts))
    for name in found:
        if name in sources:
            raise InputError(f"hybrid {name!r} is called like a source; give it another name")
    return dict(sorted(found.items()))


def folds_of_table(table: pa.Table, folds: int) -> Folds:
    """Return rows of `moments` of one source as sums by fold; folds without examples are zeros."""
    at = table["fold"].to_numpy()
    examples = np.zeros(folds, dtype=np.int64)
    examples[at] = table["n_examples"].to_numpy()
    signs = []
    for name in ("plus", "minus"):
        rows = table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        packed = np.zeros((folds, rows.shape[1]), dtype=np.int64)
        packed[at] = rows
        signs.append(packed)
    return Folds(signs[0], signs[1], examples)


def merged(tables: Iterator[pa.Table], folds: int) -> pa.Table:
    """Return the moments of several sources as those of one: every column of every fold is added, exactly.

    Raises:
        MetricError: sums too large for int64.
    """
    total: Folds | None = None
    counts: dict[str, np.ndarray] = {}
    first = pa.table({})
    for table in tables:
        if not len(table):
            continue
        part = folds_of_table(table, folds)
        total = part if total is None else pooled([total, part])
        first = first if len(first) else table.slice(0, 1)
        at = table["fold"].to_numpy()
        for field in table.schema:
            if field.type == pa.int64():
                counts.setdefault(field.name, np.zeros(folds, dtype=np.int64))[at] += table[field.name].to_numpy()
    if total is None:
        return first
    here = np.flatnonzero(total.n)
    return pa.table(
        {
            "run_id": pa.repeat(first["run_id"][0], len(here)),
            "fold": pa.array(here, pa.int32()),
            "dim": pa.repeat(first["dim"][0], len(here)),
            "plus": as_lists(total.plus[here]),
            "minus": as_lists(total.minus[here]),
            **{name: pa.array(values[here]) for name, values in counts.items()},
        }
    )


def as_lists(matrix: np.ndarray) -> pa.Array:
    """Return the rows of an int64 matrix (n, P) as Arrow lists."""
    flat = pa.array(np.ascontiguousarray(matrix).ravel())
    return pa.ListArray.from_arrays(pa.array(np.arange(len(matrix) + 1) * matrix.shape[1], pa.int32()), flat)


def means_of(read: Callable[[int], Folds], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean matrices M+ and M- of `count` sources, float64 (S, d, d), one source in memory at a time."""
    plus, minus = [], []
    for number in range(count):
        part = read(number)
        n, dim = max(int(part.n.sum()), 1), dim_of(part.plus.shape[1])
        plus.append(unpack_upper(sum_packed(part.plus), dim) / n)
        minus.append(unpack_upper(sum_packed(part.minus), dim) / n)
    return np.stack(plus), np.stack(minus)


def best_of(read: Callable[[int], Folds], count: int, lam: float) -> tuple[Mixture, np.ndarray]:
    """Return the best mixture of `count` sources, and its ECI without each fold, float64 (F,)."""
    best = best_mixture(*means_of(read, count), lam)
    used = np.flatnonzero(best.alpha)
    return best, delete_one_mix(best.alpha[used], [read(int(number)) for number in used], lam)[1]
