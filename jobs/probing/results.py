"""From trials to the tables source_probe, probe_pairs and probe_curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eci_sql.information import rank_bounds
from jobs.output.tables import PROBE_CURVE, PROBE_PAIRS, SOURCE_PROBE
from jobs.probing.evidence import evidence_of, informed, ranks_of
from jobs.probing.looks import counting_looks
from jobs.probing.measure import Budget
from jobs.probing.sample import Sample, half_of_passages, half_of_queries
from jobs.probing.statistics import CHOICE, LEVEL, difference, gain, holm, training_variance

NDCG, MRR = 0, 1


class Trials(NamedTuple):
    """What was measured.

    Attributes:
        tried: the S sources and hybrids, with the sources that each is made of.
        queries: those that each was trained on.
        values: (S, H, L, 2, Q), nDCG and reciprocal rank in each halving, at each look.
        frozen: (H, 2, Q), those of the frozen encoder.
    """

    tried: Mapping[str, list[str]]
    queries: Mapping[str, int]
    values: NDArray[np.float64]
    frozen: NDArray[np.float64]


def results_of(
    run_id: str,
    trials: Trials,
    sample: Sample,
    budget: Budget,
    tolerance: float,
    information: Mapping[str, float],
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the tables source_probe (in the order of rank), probe_pairs and probe_curve.

    Args:
        tolerance: points of nDCG within which a difference is a tie.
        information: of the sources, as far as it is known.
    """
    names, halvings = list(trials.tried), len(trials.frozen)
    sides = sides_of(sample, halvings)
    alone = [parts == [name] for name, parts in trials.tried.items()]
    looks, values = judged_by(trials.values, alone)
    pairs, decided = _pairs(names, values[:, :, NDCG], sides, tolerance / 100)
    gains = [gain(values[i, :, NDCG], trials.frozen[:, NDCG], sides) for i in range(len(names))]
    means = [one.value for one in gains]
    about = [informed(information, parts) for parts in trials.tried.values()]
    evidence = evidence_of(means, about, alone)
    rank = ranks_of(evidence, means, decided)
    _, low, high = rank_bounds(means, decided)
    rows = []
    for i in np.argsort(rank).tolist():
        of = trials.tried[names[i]]
        rows.append({
            "run_id": run_id,
            "source": names[i],
            "kind": "source" if of == [names[i]] else "hybrid",
            "parts": of,
            "rank": int(rank[i]), "rank_low": int(low[i]), "rank_high": int(high[i]),
            "evidence": float(evidence[i]),
            "gain": gains[i].value, "gain_se": gains[i].se, "gain_low": gains[i].low, "gain_high": gains[i].high,
            "gain_mrr": float((values[i, :, MRR] - trials.frozen[:, MRR]).mean()),
            "frozen": float(trials.frozen[:, NDCG].mean()),
            "n_queries": trials.queries[names[i]],
            "queries": len(sample.queries),
            "pool": int(sample.pool.sum()),
            "halvings": halvings, "steps": budget.looks[looks[-1]], "rate": budget.rate, "cutoff": budget.cutoff,
        })  # fmt: skip
    shown = [
        {"run_id": run_id, "source_a": a, "source_b": b, **row}
        for a, b, row in _both_ways(pairs)
    ]  # fmt: skip
    return (
        pa.Table.from_pylist(rows, SOURCE_PROBE.schema),
        pa.Table.from_pylist(shown, PROBE_PAIRS.schema),
        pa.Table.from_pylist(_curve(run_id, trials, sides, budget), PROBE_CURVE.schema),
    )


def judged_by(
    values: NDArray[np.float64], alone: Sequence[bool] | None = None
) -> tuple[list[int], NDArray[np.float64]]:
    """Return the looks by which all are judged, and the mean of what was measured there, (S, H, 2, Q).

    Args:
        values: (S, H, L, 2, Q).  alone: which of the S are sources, that choose the looks (default: all).
    """
    of = np.flatnonzero(alone) if alone is not None and any(alone) else np.arange(len(values))
    looks = counting_looks(values[of, :, :, NDCG].mean(axis=(1, 3)))
    return looks, values[:, :, looks].mean(axis=2)


def sides_of(sample: Sample, halvings: int) -> NDArray[np.int64]:
    """Return the half in which each query is judged, in each halving, (H, Q)."""
    return np.stack([half_of_queries(sample, half_of_passages(sample.passages, k)) for k in range(halvings)])


def _pairs(
    names: list[str], values: NDArray[np.float64], sides: NDArray[np.int64], tolerance: float
) -> tuple[dict[tuple[str, str], dict[str, Any]], NDArray[np.bool_]]:
    """Return the difference of each pair of sources, values (S, H, Q), and which pairs are decided, (S, S)."""
    decided = np.zeros((len(names), len(names)), dtype=bool)
    if len(names) < 2:
        return {}, decided
    training = training_variance(values, sides)
    places = list(combinations(range(len(names)), 2))
    found = [difference(values[i], values[k], training) for i, k in places]
    corrected = holm(CHOICE * np.array([one.p_value for one in found]))
    pairs = {}
    for (i, k), one, p_value in zip(places, found, corrected.tolist(), strict=True):
        decided[i, k] = decided[k, i] = p_value < 1 - LEVEL and abs(one.value) > tolerance
        pairs[names[i], names[k]] = {
            "difference": one.value, "se": one.se, "low": one.low, "high": one.high, "p_value": p_value,
            "decided": bool(decided[i, k]),
        }  # fmt: skip
    return pairs, decided


def _both_ways(pairs: dict[tuple[str, str], dict[str, Any]]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each pair as (a, b) and (b, a), in order."""
    rows = [(a, b, row) for (a, b), row in pairs.items()]
    turned = [
        (b, a, row | {"difference": -row["difference"], "low": -row["high"], "high": -row["low"]}) for a, b, row in rows
    ]
    return sorted(rows + turned, key=lambda row: row[:2])


def _curve(run_id: str, trials: Trials, sides: NDArray[np.int64], budget: Budget) -> list[dict[str, Any]]:
    rows = []
    for i, name in enumerate(trials.tried):
        for look, steps in enumerate(budget.looks):
            here = trials.values[i, :, look, NDCG]
            one, change = gain(here, trials.frozen[:, NDCG], sides), gain(trials.values[i, :, -1, NDCG], here, sides)
            rows.append({
                "run_id": run_id, "source": name, "steps": steps, "gain": one.value, "gain_se": one.se,
                "change": change.value, "change_se": change.se,
            })  # fmt: skip
    return rows
