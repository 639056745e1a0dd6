"""What people see of a validation in a terminal: the sources, the predictors, and the answer in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from jobs.terminal.escape import shown
from jobs.validation.tables import AT_RANDOM

LABELS = {"negatives": "own negatives", "in-batch": "and in-batch", "encoder": "whole encoder"}


def objectives(tables: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the objectives that were trained, and what they are called."""
    there = {row["objective"] for row in tables["validation_sources"]}
    return [(objective, label) for objective, label in LABELS.items() if objective in there]


def source_table(tables: dict[str, Any]) -> Table:
    """Return the sources by falling ECI with their nDCG@10 under each objective."""
    table = _table(
        "source",
        "ECI",
        "95 % +-",
        "triples",
        *(f"nDCG@10 {label}" for _, label in objectives(tables)),
        "violations",
        "hardness",
    )
    by_objective = [
        {r["source"]: r for r in tables["validation_sources"] if r["objective"] == o} for o, _ in objectives(tables)
    ]
    for source, row in by_objective[0].items():
        cells = [_interval(rows[source], "ndcg", 4) for rows in by_objective]
        table.add_row(
            Text(shown(source)), f"{row['eci']:.5f}", f"{1.96 * row['eci_se']:.5f}", f"{row['n_triples']:,}", *cells,
            f"{row['violation_rate']:.1%}", f"{row['hardness']:.3f}",
        )  # fmt: skip
    return table


def predictor_table(tables: dict[str, Any], objective: str, label: str) -> Table:
    """Return what each predictor is worth for nDCG@10 under one objective; regret is in points (nDCG * 100)."""
    table = _table("predictor", f"Spearman, {label}", "Kendall", "picks", "regret", "pairs right")
    for row in tables["validation_summary"]:
        if row["metric"] == "ndcg" and row["objective"] == objective:
            sign = "-" if row["direction"] == -1 else ""
            table.add_row(
                f"{sign}{row['predictor']}", _interval(row, "spearman", 2), _interval(row, "kendall", 2),
                Text(shown(row["picked"] or "")), _interval(row, "regret", 2, 100), _interval(row, "pairs_right", 0, 100),
            )  # fmt: skip
    return table


def validation_lines(tables: dict[str, Any]) -> Iterator[str]:
    """Yield the answer in sentences: what ECI picked and lost, how much is real, what was chosen on the dev queries."""
    told = tables["validation"]
    for objective, label in objectives(tables):
        rows = [r for r in tables["validation_sources"] if r["objective"] == objective]
        summary = {
            r["predictor"]: r
            for r in tables["validation_summary"]
            if r["metric"] == "ndcg" and r["objective"] == objective
        }
        eci, chance = summary["eci"], summary[AT_RANDOM]
        picks = [("the ranking", "ranking"), ("the probe alone", "probe"), ("ECI", "eci")]
        said = "".join(_picks(who, summary[predictor]) for who, predictor in picks)
        choice = told["choices"][objective]
        yield (
            f"{label}: best is {eci['best']}. {said}A random choice loses "
            f"{100 * chance['regret']:.2f} points of nDCG@10. {eci['pairs_different']} of {eci['pairs']} "
            f"pairs of sources really differ. Frozen encoder {rows[0]['ndcg_untuned']:.4f}. "
            f"Learning rate {choice['rate']:g}, {choice['steps']} steps."
        )
    seconds = told["seconds"]
    yield (
        f"{sum(seconds.values()):,.0f} s: "
        + ", ".join(f"{step} {value:,.0f} s" for step, value in seconds.items())
        + "."
    )


def _picks(who: str, row: dict[str, Any]) -> str:
    """Return what a predictor picked, loses and ordered right, as a sentence; nothing where it said nothing."""
    if not row["picked"]:
        return ""
    right = (
        ""
        if _missing(row["pairs_right"])
        else f" and orders {row['pairs_right']:.0%} of the really different pairs right"
    )
    return f"{who[0].upper()}{who[1:]} picks {row['picked']}, loses {100 * row['regret']:.2f}{right}. "


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i, header in enumerate(headers):
        table.add_column(header, justify="left" if i == 0 else "right", overflow="fold", no_wrap=i > 0)
    return table


def _interval(row: dict[str, Any], name: str, digits: int, times: float = 1) -> str:
    if _missing(row[name]):
        return ""
    value, low, high = (
        times * row[key] if not _missing(row[key]) else None for key in (name, f"{name}_lo", f"{name}_hi")
    )
    return f"{value:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f}..{high:.{digits}f})")


def _missing(value: float | None) -> bool:
    return value is None or value != value
