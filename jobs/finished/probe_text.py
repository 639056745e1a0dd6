"""A probe in a terminal: the table that gives the gains beside the score."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from jobs.finished.text import BAR, eci_interval, ranked
from jobs.output.records import ProbeRow, SourceRow
from jobs.probing.answer import interval, points
from jobs.terminal.console import number


def probe_table(probed: Sequence[ProbeRow], ranking: Sequence[SourceRow]) -> Table:
    """Return the sources in the order of their gains, with their ECI where they have one.

    Args:
        probed: rows of source_probe, by rank.  ranking: rows of source_eci.
    """
    scores = {row["source"]: row for row in ranking}
    top = max([row["eci_hi"] for row in ranking if row["eci_hi"] == row["eci_hi"]] or [0.0])
    low, high = min(0.0, *(row["gain_low"] for row in probed)), max(0.0, *(row["gain_high"] for row in probed))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in (
        "rank",
        "source",
        f"nDCG@{probed[0]['cutoff']}",
        "95 % interval",
        "",
        "ECI",
        "95 % interval",
        "violations",
        "triples",
    ):
        table.add_column(
            name, justify="left" if name in ("source", "") else "right", no_wrap=name != "source", overflow="fold"
        )
    for row in probed:
        score = scores.get(row["source"])
        numbers = ["", "", "", ""] if score is None else [
            number(score["eci"], top),
            eci_interval(score, top),
            f"{score['violation_rate']:.1%}",
            f"{score['n_examples']:,}",
        ]  # fmt: skip
        table.add_row(
            ranked(row["rank"], row["rank_low"], row["rank_high"]),
            Text(row["source"]),
            points(row["gain"]),
            interval(row["gain_low"], row["gain_high"]),
            gain_bar(row, low, high),
            *numbers,
        )
    return table


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
        f"Gains are points of nDCG@{first['cutoff']} of {first['queries']:,} queries, after {first['steps']} steps on other "
        f"queries and other passages ({first['halvings']} halvings, {first['pool']:,} passages)."
    ]
    few = [f"{row['source']} {row['n_queries']:,}" for row in probed if 2 * row["n_queries"] < row["queries"]]
    if few:
        lines.append(f"Negatives for fewer than half of the queries: {', '.join(few)}.")
    return lines
