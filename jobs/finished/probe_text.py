"""A probe in a terminal: the table that gives the gains beside the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobs.finished.text import BAR, INTERVAL, eci_interval, ranked
from jobs.output.records import ProbeRow, SourceRow
from jobs.probing.answer import interval, out_of_order, points
from jobs.probing.looks import half_of
from jobs.terminal.console import number
from jobs.terminal.escape import shown
from jobs.terminal.fitting import Column


def probe_columns(probed: Sequence[ProbeRow], ranking: Sequence[SourceRow]) -> list[Column]:
    """Return the sources in the order of their ranks, as columns, with their ECI where they have one.

    Args:
        probed: rows of source_probe, by rank.  ranking: rows of source_eci.
    """
    of = {row["source"]: row for row in ranking}
    scores = [of.get(row["source"]) for row in probed]
    top = max([row["eci_hi"] for row in ranking if row["eci_hi"] == row["eci_hi"]] or [0.0])
    low, high = min(0.0, *(row["gain_low"] for row in probed)), max(0.0, *(row["gain_high"] for row in probed))

    def scored(said: Callable[[SourceRow], str]) -> list[str]:
        return ["" if score is None else said(score) for score in scores]

    return [
        Column("rank", [ranked(row["rank"], row["rank_low"], row["rank_high"]) for row in probed]),
        Column("source", [shown(row["source"]) for row in probed], right=False, name=True),
        Column(f"nDCG@{probed[0]['cutoff']}", [points(row["gain"]) for row in probed]),
        Column(INTERVAL, [interval(row["gain_low"], row["gain_high"]) for row in probed], goes=3),
        Column("", [gain_bar(row, low, high) for row in probed], right=False, goes=1, plot=True),
        Column("ECI", scored(lambda row: number(row["eci"], top))),
        Column(INTERVAL, scored(lambda row: eci_interval(row, top)), goes=2),
        Column("violations", scored(lambda row: f"{row['violation_rate']:.1%}"), goes=4),
        Column("triples", scored(lambda row: f"{row['n_examples']:,}")),
    ]


def gain_bar(row: ProbeRow, low: float, high: float) -> str:
    """Return a gain with its interval as text on a scale from `low` to `high`, with `|` at 0."""
    if not high > low:
        return ""

    def cell(x: float) -> int:
        return max(0, min(BAR - 1, round((x - low) / (high - low) * (BAR - 1))))

    cells = [" "] * BAR
    cells[cell(0.0)] = "|"
    for i in range(cell(row["gain_low"]), cell(row["gain_high"]) + 1):
        cells[i] = "─"
    cells[cell(row["gain"])] = "●"
    return "".join(cells).rstrip()


def coverage_lines(probed: Sequence[ProbeRow]) -> list[str]:
    """Return what the probe rests on, and the sources that have negatives for fewer than half of its queries."""
    first = probed[0]
    lines = [
        f"Gains are points of nDCG@{first['cutoff']} of {first['queries']:,} queries, "
        f"after {half_of(first['steps'])} and {first['steps']} steps on other queries and other "
        f"passages ({first['halvings']} halvings, {first['pool']:,} passages)."
    ]
    if out_of_order(probed):
        lines.append(
            "Ranks go by gain and information together, each as a standard score; no decided pair is turned round by it."
        )
    few = [f"{row['source']} {row['n_queries']:,}" for row in probed if 2 * row["n_queries"] < row["queries"]]
    if few:
        lines.append(f"Negatives for fewer than half of the queries: {', '.join(few)}.")
    return lines
