"""Who is ahead of whom by ECI: one triangle of differences in the order of rank, and a table with all that is known of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jobs.output.records import PairRow, SourceRow
from jobs.probing.fitness import why_open
from jobs.reports.data import ReportData, by_eci, digits_of
from jobs.reports.grid import MOST_COLUMNS, Row, Square, columns, grid
from jobs.reports.html_parts import Cell, esc, folded, name, num, section, table, text
from jobs.reports.names import named

DECIDED, OPEN = "decided", "not decided"
CLASSES = {DECIDED: "ahead", OPEN: "open"}

Verdicts = dict[tuple[str, str], str]
"""What is said of each pair."""


def pairs_section(data: ReportData) -> str:
    """Return the section, empty where there are no pairs."""
    order = {row["source"]: row["rank"] or 0 for row in by_eci(data) if row["source"] in data.shown}
    found = [p for p in data.pairs if order.get(p["a"], math.inf) < order.get(p["b"], -math.inf)]
    if not found:
        return ""
    found.sort(key=lambda p: (order[p["a"]], order[p["b"]]))
    verdicts = {(p["a"], p["b"]): _verdict(p, data.ranking) for p in found}
    open_ = sum(verdict != DECIDED for verdict in verdicts.values())
    digits = digits_of(data.ranking) + 1
    lead = (
        f"Of {len(found)} pair{'s' * (len(found) != 1)}, {open_} {'are' if open_ != 1 else 'is'} not decided at 95 %, of too few "
        f"queries, or not comparable. By how much the row is ahead of the column in ECI, in units of {_unit(found)[1]}: in bold what is decided, with "
        "a question mark what is not, in brackets what cannot be compared."
    )
    return section(
        "pairs",
        "Pairs of sources",
        lead,
        _triangle(data, found, verdicts),
        folded("All pairs as a table", _table(found, verdicts, digits)),
    )


def _verdict(pair: PairRow, ranking: Sequence[SourceRow]) -> str:
    """Return `decided`, `not decided`, or why the two cannot be compared."""
    return why_open(ranking, pair["a"], pair["b"]) or (DECIDED if pair["decided"] else OPEN)


def _unit(found: list[PairRow]) -> tuple[float, str]:
    """Return a power of ten that gives the largest difference two or three digits before the point, as number and as text."""
    top = max(abs(p["difference"]) for p in found)
    power = math.floor(math.log10(top)) - 1 if top > 0 else 0
    return 10.0**power, f"{10.0**power:.10f}".rstrip("0").rstrip(".")


def _triangle(data: ReportData, found: list[PairRow], verdicts: Verdicts) -> str:
    ranks = {row["source"]: row["rank"] for row in by_eci(data)}
    names = columns(data)
    by_names = {(p["a"], p["b"]): p for p in found}
    top, (unit, _) = max(abs(p["difference"]) for p in found) or 1.0, _unit(found)
    rows = []
    for i, a in enumerate(names[:-1]):
        cells: list[Square | None] = []
        for k, b in enumerate(names[1:], start=1):
            pair = by_names.get((a, b)) if k > i else None
            cells.append(_square(pair, verdicts[a, b], unit, top) if pair else None)
        rows.append(Row(f"<b>{ranks[a]}</b> {named(a)}", cells))
    heads = [f'<span title="{esc(b)}">{ranks[b]} {named(b, 12)}</span>' for b in names[1:]]
    more = (
        f"the first {MOST_COLUMNS} of {len(data.shown)} sources"
        if len(data.shown) > MOST_COLUMNS
        else f"{len(names)} sources"
    )
    return grid(f"Differences in ECI of {more}: row less column, in order of rank", "rank and source", heads, rows)


def _square(pair: PairRow, verdict: str, unit: float, top: float) -> Square:
    value = f"{pair['difference'] / unit:.1f}"
    shown = {DECIDED: value, OPEN: f"{value} ?"}.get(verdict, f"({value})")
    said = (
        f"{pair['a']} against {pair['b']}: {pair['difference']:.3g} ({pair['lo']:.3g} to {pair['hi']:.3g}), {verdict}"
    )
    return Square(
        shown,
        said,
        CLASSES.get(verdict, "apart"),
        math.sqrt(abs(pair["difference"]) / top) if verdict == DECIDED else 0.0,
    )


def _table(found: list[PairRow], verdicts: Verdicts, digits: int) -> str:
    heads = [
        (title, "") for title in ("ahead", "behind", "difference", "standard error", "low", "high", "p", "verdict")
    ]
    rows = [
        [
            name(p["a"]),
            name(p["b"]),
            num(p["difference"], digits),
            num(p["se"], digits),
            num(p["lo"], digits),
            num(p["hi"], digits),
            Cell(f"{p['p_value']:.2g}", p["p_value"]) if p["p_value"] == p["p_value"] else num(None),
            text(verdicts[p["a"], p["b"]]),
        ]
        for p in found
    ]
    return table("Pairs of sources", heads, rows, tools=True)
