"""Hybrids and mixtures in a run: sources pooled exactly, and the best mixture as a row of the ranking.

Covers: which sources a hybrid is made of; the tasks that score hybrids and the best mixture from moments.
Does not cover: the mathematics (eci_sql/mixtures.py), and mixtures of a finished run (mix.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from jobs.config import ALL_PAIRS
from jobs.errors import InputError, nearest

BEST = "best mixture"
BEST_OF = 3
"""Sources that the probe tries out in pairs, too: those with the largest gains."""


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


def best_pairs(gains: Mapping[str, float], tried: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return name -> parts of all pairs of the BEST_OF best sources, less those that were tried already, by name.

    Args:
        gains: of each source that may be in a pair.  tried: the sources and hybrids so far, with their parts.
    """
    best = sorted(gains, key=lambda source: (-gains[source], source))[:BEST_OF]
    known = {tuple(sorted(parts)) for parts in tried.values()}
    pairs = {f"{a}+{b}": [a, b] for a, b in combinations(sorted(best), 2) if (a, b) not in known}
    return {name: parts for name, parts in pairs.items() if name not in tried}


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
