"""Hybrids and mixtures in a run: sources pooled exactly, and the best mixture as a row of the ranking.

Covers: which sources a hybrid is made of; the tasks that score hybrids and the best mixture from moments.
Does not cover: the mathematics (eci_sql/mixtures.py), and mixtures of a finished run (mix.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from eci_sql.information import Score, spectrum
from eci_sql.mixtures import Folds, best_mixture, delete_one_mix, pooled
from eci_sql.moments import dim_of, sum_packed, unpack_upper
from jobs.config import ALL_PAIRS
from jobs.errors import InputError, nearest

BEST = "best mixture"


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


def kind_and_parts(
    name: str, parts: Sequence[str], found: Sequence[Mapping[str, Any]], sources: Sequence[str]
) -> dict[str, Any]:
    """Return kind and parts of a source (its own only part) or a hybrid, whose shares are those of the examples.

    Args:
        found: results of `information_task`, in the order of `sources`.
    """
    examples = {part: int(found[sources.index(part)]["n_examples"]) for part in parts}
    total = sum(examples.values())
    listed = [{"source": part, "alpha": n / total if total else 0.0} for part, n in examples.items()]
    return {"kind": "source" if list(parts) == [name] else "hybrid", "parts": listed}


def shares_named(result: dict[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    """Return a result of `mixture_task` with kind and parts (those with a share) in place of its shares."""
    parts = [{"source": s, "alpha": a} for s, a in zip(sources, result["alpha"], strict=True) if a > 0.0]
    kept = {key: value for key, value in result.items() if key not in ("alpha", "start")}
    return kept | {"kind": "mixture", "parts": parts}


def triples_of(parts: Sequence[Mapping[str, Any]], examples: Mapping[str, int]) -> dict[str, int]:
    """Return the triples of each source in the largest training set that holds these shares, none taken twice."""
    total = min(examples[part["source"]] / part["alpha"] for part in parts)
    # a share that came out of a division may take the product just below a whole number
    return {p["source"]: min(int(p["alpha"] * total + 1e-6), examples[p["source"]]) for p in parts}


def mixed_counts(parts: Sequence[Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return n_examples and sums of a mixture: the triples of `triples_of`, and means weighted by the shares."""
    taken = triples_of(parts, {part["source"]: found[part["source"]]["n_examples"] for part in parts})
    n = max(sum(taken.values()), 1)
    first = found[parts[0]["source"]]
    names = [name for name in first if name.startswith(("sum_", "n_")) and name != "n_examples"]
    means = {
        name: sum(p["alpha"] * found[p["source"]][name] / found[p["source"]]["n_examples"] for p in parts)
        for name in names
    }
    return {"n_examples": n, **{name: round(mean * n) for name, mean in means.items()}}


def means_of(read: Callable[[int], Folds], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean matrices M+ and M- of `count` sources, float64 (S, d, d), one source in memory at a time."""
    plus, minus = [], []
    for number in range(count):
        part = read(number)
        n, dim = max(int(part.n.sum()), 1), dim_of(part.plus.shape[1])
        plus.append(unpack_upper(sum_packed(part.plus), dim) / n)
        minus.append(unpack_upper(sum_packed(part.minus), dim) / n)
    return np.stack(plus), np.stack(minus)


@dataclass(frozen=True)
class Mixed:
    """A scored mixture: shares float64 (S,), score, ECI without each fold float64 (F,), trace and effective rank."""

    alpha: np.ndarray
    score: Score
    leave_out: np.ndarray
    trace: float
    effective_rank: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain numbers, named like the columns of source_eci."""
        left = {str(i): float(value) for i, value in enumerate(self.leave_out) if not np.isnan(value)}
        return {
            "alpha": self.alpha.tolist(),
            **asdict(self.score),
            "leave_out": left,
            "trace": self.trace,
            "effective_rank": self.effective_rank,
            "folds_done": len(left),
        }


def best_of(read: Callable[[int], Folds], count: int, lam: float) -> Mixed:
    """Return the best mixture of `count` sources; `read` gives one source's sums by fold.

    Raises:
        MetricError: as `best_mixture`.
    """
    plus, minus = means_of(read, count)
    return mix_of(read, best_mixture(plus, minus, lam).alpha, lam, plus)


def mix_of(read: Callable[[int], Folds], alpha: np.ndarray, lam: float, mean_plus: np.ndarray | None = None) -> Mixed:
    """Return the mixture with the given shares, float64 (S,). `mean_plus`: the sources' M+, where they are at hand."""
    plus = means_of(read, len(alpha))[0] if mean_plus is None else mean_plus
    used = np.flatnonzero(alpha)
    score, leave_out = delete_one_mix(alpha[used], (read(int(number)) for number in used), lam)
    return Mixed(alpha, score, leave_out, *spectrum(np.tensordot(alpha, plus, axes=1)))
