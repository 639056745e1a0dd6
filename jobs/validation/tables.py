"""The tables of `eci validate`: what each source got, what each predictor is worth, which pairs really differ.

OUT/validation/validation_sources.parquet, validation_summary.parquet, validation_pairs.parquet and validation.json
(split, choices on the dev queries, timings), each with a hash of what it says. Each appears whole or not at all; a later
validation replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from jobs.errors import DamagedError, reason_of
from jobs.output import layout
from jobs.output.parquet import read_sealed, write_sealed
from jobs.output.sealed import sealed, unsealed
from jobs.output.store import Store
from jobs.retrieval.bootstrap import Estimate, draw_means
from jobs.terminal.console import to_json
from jobs.validation.agreement import agreement, random_regret, real_pairs

if TYPE_CHECKING:
    from jobs.validation.outcome import Validation

METRICS = ("ndcg", "mrr")
TABLES = ("validation_sources", "validation_summary", "validation_pairs")

# The sign that makes larger mean better, as each is usually read: harder, closer, cleaner, more varied.
PREDICTORS = {
    "ranking": -1, "probe": 1, "eci": 1, "information": 1, "misinformation": -1, "purity": 1, "mean_weight": 1,
    "mean_consistency": 1, "mean_locality": 1, "mean_residuality": 1, "trace": 1, "effective_rank": 1, "hardness": 1, "margin": -1,
    "violation_rate": -1, "near_duplicate_rate": -1, "lexical_overlap": -1, "eci_v1": 1,
}  # fmt: skip
AT_RANDOM = "random choice"

_STRING, _DOUBLE, _INT = pa.string(), pa.float64(), pa.int64()


def _interval(name: str) -> list[tuple[str, pa.DataType]]:
    return [(name, _DOUBLE), (f"{name}_lo", _DOUBLE), (f"{name}_hi", _DOUBLE)]


_RUN = [
    ("run_id", _STRING),
    ("collection", _STRING),
    ("encoder", _STRING),
    ("score_encoder", _STRING),
    ("objective", _STRING),
]
SOURCES = pa.schema(
    [*_RUN, ("source", _STRING), *_interval("ndcg"), *_interval("mrr"), ("ndcg_untuned", _DOUBLE),
     ("mrr_untuned", _DOUBLE), ("n_triples", _INT), ("n_missing", _INT), ("eci_se", _DOUBLE),
     *((name, _DOUBLE) for name in PREDICTORS)]
)  # fmt: skip
SUMMARY = pa.schema(
    [*_RUN, ("metric", _STRING), ("predictor", _STRING), ("direction", _INT), *_interval("spearman"),
     *_interval("kendall"), ("picked", _STRING), ("best", _STRING), *_interval("regret"), ("pairs", _INT),
     ("pairs_different", _INT), *_interval("pairs_right")]
)  # fmt: skip
PAIRS = pa.schema(
    [*_RUN, ("metric", _STRING), ("a", _STRING), ("b", _STRING), *_interval("difference"), ("different", pa.bool_())]
)


def write_tables(found: Validation) -> None:
    """Write the tables of a validation below OUT/validation."""
    store = Store(found.run.out)
    for name, schema, rows in (
        ("validation_sources", SOURCES, source_rows(found)),
        ("validation_summary", SUMMARY, summary_rows(found)),
        ("validation_pairs", PAIRS, pair_rows(found)),
    ):
        with store.attempt(f"{layout.VALIDATION}/{name}.parquet") as path:
            write_sealed(path, pa.Table.from_pylist(rows, schema))
    store.write_text(layout.VALIDATED, to_json(sealed(json.loads(to_json(description(found))))) + "\n")


def read_tables(out: str) -> dict[str, Any]:
    """Return the tables of the last validation of an output root as lists of rows, and its description.

    Raises:
        DamagedError: one of them is not what was written.
    """
    store = Store(out)
    tables: dict[str, Any] = {}
    for name in TABLES:
        tables[name] = read_sealed(store, f"{layout.VALIDATION}/{name}.parquet").to_pylist()
    try:
        tables["validation"] = unsealed(store.read_text(layout.VALIDATED), layout.VALIDATED_KEYS)
    except ValueError as error:
        raise DamagedError(f"{store.path(layout.VALIDATED)}: damaged: {reason_of(error)}; make it again") from error
    runs = {row["run_id"] for name in TABLES for row in tables[name]} | {tables["validation"]["run_id"]}
    if len(runs) > 1:
        raise DamagedError(
            f"{store.path(layout.VALIDATION)}: its tables are of different validations ({', '.join(sorted(runs))}), the last of "
            "which was stopped while it wrote them: make it again"
        )
    return tables


def source_rows(found: Validation) -> list[dict[str, Any]]:
    """Return a row for each objective and source, by falling ECI."""
    rows = []
    for objective, outcome in found.outcomes.items():
        intervals = {metric: _means(getattr(outcome, metric)) for metric in METRICS}
        for i, source in enumerate(found.names):
            row = _run(found, objective) | {
                "source": source,
                "n_triples": int((found.training.negatives[source] >= 0).sum()),
            }
            row |= {"n_missing": found.missing.get(source, 0), "eci_se": found.scores[source]["eci_se"]}
            row |= {
                f"{metric}_untuned": float(value.mean()) for metric, value in zip(METRICS, found.untuned, strict=True)
            }
            row |= {name: found.scores[source][name] for name in PREDICTORS}
            for metric in METRICS:
                row |= _flat(metric, intervals[metric][i])
            rows.append(row)
    return sorted(rows, key=lambda row: (row["objective"], -row["eci"]))


def summary_rows(found: Validation) -> list[dict[str, Any]]:
    """Return a row for each objective, metric and predictor, and one for picking a source at random."""
    rows = []
    for objective, metric, values in _measured(found):
        draws = draw_means(values)
        pairs = real_pairs(found.names, values, draws)
        different = sum(pair.different for pair in pairs)
        means = values.mean(axis=(1, 2))
        same = _run(found, objective) | {"metric": metric, "best": found.names[int(means.argmax())]}
        same |= {"pairs": len(pairs), "pairs_different": different}
        for name, sign in PREDICTORS.items():
            given = [found.scores[source][name] for source in found.names]
            x = sign * np.array([np.nan if value is None else value for value in given], dtype=np.float64)
            said = agreement(found.names, x, values, draws, pairs)
            worth = {measure: getattr(said, measure) for measure in ("spearman", "kendall", "regret", "pairs_right")}
            flat = {key: value for measure, one in worth.items() for key, value in _flat(measure, one).items()}
            rows.append(same | {"predictor": name, "direction": sign, "picked": said.picked} | flat)
        rows.append(same | {"predictor": AT_RANDOM, "regret": random_regret(values), "pairs_right": 0.5})
    return rows


def pair_rows(found: Validation) -> list[dict[str, Any]]:
    """Return a row for each objective, metric and pair of sources."""
    return [
        _run(found, objective)
        | {
            "metric": metric,
            "a": pair.a,
            "b": pair.b,
            "different": pair.different,
            **_flat("difference", pair.difference),
        }
        for objective, metric, values in _measured(found)
        for pair in real_pairs(found.names, values, draw_means(values))
    ]


def description(found: Validation) -> dict[str, Any]:
    """Return what was divided and chosen: sizes of the split, learning rate and steps, settings, seconds."""
    split = found.split
    return {
        "run_id": found.run.run_id,
        "collection": found.collection.name,
        "settings": {key: value for key, value in asdict(found.settings).items() if key not in ("out", "collection")},
        "split": {
            "official": split.official,
            "dropped_queries": split.dropped,
            **{
                name: len(getattr(split, name))
                for name in ("train", "dev", "test", "train_documents", "test_documents")
            },
            "train_pairs": len(found.training.query),
        },
        "choices": {objective: asdict(outcome.choice) for objective, outcome in found.outcomes.items()},
        "totals": found.run.totals,
        "seconds": {step: round(value, 1) for step, value in found.seconds.items()},
    }


def _measured(found: Validation) -> Iterator[tuple[str, str, np.ndarray]]:
    for objective, outcome in found.outcomes.items():
        for metric in METRICS:
            yield objective, metric, getattr(outcome, metric)


def _means(values: np.ndarray) -> list[Estimate]:
    draws = draw_means(values)
    return [Estimate.of(float(value.mean()), draws[:, i]) for i, value in enumerate(values)]


def _run(found: Validation, objective: str) -> dict[str, Any]:
    settings = found.settings
    return {
        "run_id": found.run.run_id,
        "collection": found.collection.name,
        "encoder": settings.encoder,
        "score_encoder": settings.score_encoder or settings.encoder,
        "objective": objective,
    }


def _flat(name: str, value: Estimate) -> dict[str, float]:
    return {name: value.value, f"{name}_lo": value.lo, f"{name}_hi": value.hi}
