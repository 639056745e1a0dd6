"""The report on the probe: what each source does to held-out queries, by the gains and by the way there.

Two figures, a table of all gains and one of all pairs; nothing where the sources were not tried out. All numbers are
points of nDCG, a hundred times what the tables hold.
"""

from __future__ import annotations

import math

from jobs.output.records import CurveRow, ProbeRow, SourceRow
from jobs.probing.answer import SURE, Probed, interval
from jobs.probing.looks import half_of
from jobs.reports.cells import gain_cell, ranks
from jobs.reports.data import MOST_SOURCES, ReportData, digits_of
from jobs.reports.html_parts import Cell, folded, name, num, section, share, table, text
from jobs.reports.lines import Line, ended
from jobs.reports.marks import MOST_LINES, Chart, Figures, drawn, listing, made_of, state_of
from jobs.reports.ranked import Standing, ranked
from jobs.reports.vega import channel, options

HEADS = (
    ("rank", "by gain and information, never against a decided pair; in brackets: those that the decided pairs leave"),
    ("source", ""),
    ("gain", "points of nDCG over the frozen encoder"),
    ("95 % interval", "over queries and trainings"),
    ("MRR gain", "the same for the reciprocal rank"),
    ("ECI", "information times purity"),
    ("violations", "share of triples with s_neg >= s_pos"),
    ("queries covered", "queries of the sample that the source has negatives for"),
)
PAIRS = (
    ("ahead", ""),
    ("behind", ""),
    ("difference", "points of nDCG"),
    ("95 % interval", "of this pair alone"),
    ("corrected p", "for the number of pairs (Holm)"),
    ("verdict", "decided: corrected p below 0.05, and the difference above the tolerance"),
)


def probe_charts(data: ReportData) -> list[Chart | None]:
    """Return the two figures, None for one without data."""
    return [gains(data.probe), curves(data.probe)] if data.probe else []


def gains(probed: Probed) -> Chart:
    """Gains with 95 % intervals, best first, and beside them the differences to the first."""
    best = probed.rows[0]
    apart = {p["source_b"]: p for p in probed.pairs if p["source_a"] == best["source"]}
    rows = [
        Standing(
            row["source"], 100 * row["gain"], 100 * row["gain_low"], 100 * row["gain_high"],
            state_of(row["rank"], row["rank_low"]),
            100 * (row["gain"] - best["gain"]),
            -100 * apart[row["source"]]["high"] if row["source"] in apart else None,
            -100 * apart[row["source"]]["low"] if row["source"] in apart else None,
        )
        for row in probed.rows
    ]  # fmt: skip
    measure = f"nDCG@{best['cutoff']}"
    return made_of(
        "gains",
        lambda room: ranked(rows, room, f"points of {measure} gained", 2, True),
        f"Gains of {len(rows)} sources and hybrids in {measure} with 95 % intervals, best first: "
        f"{listing([f'{row.source} {row.value:+.2f}' for row in rows])}. The table below has all numbers.",
    )


def curves(probed: Probed) -> Chart | None:
    """Gain against training steps: in colour the sources of `lines`, in grey the others."""
    names = lines(probed)
    ways = [
        Line(row["source"], _way(probed, row["source"]), names.index(row["source"]) if row["source"] in names else None)
        for row in probed.rows
    ]
    ways = [way for way in ways if way.points]
    if not ways:
        return None
    steps = sorted({int(at) for way in ways for at, *_ in way.points})
    x = channel("x:Q", scale=options(nice=False),
              axis=options(title="training steps", grid=False, values=steps, labelOverlap=True))  # fmt: skip
    lost, others = sum(_lost(probed, source) > 0 for source in names), len(ways) - len(names)
    return made_of(
        "curves",
        lambda room: ended(ways, room, 300, x, f"points of nDCG@{probed.rows[0]['cutoff']} gained", spans=False),
        f"Gain of {len(names)} sources after each number of training steps"
        + (f", and of {others} more in grey" if others else "")
        + f"; {lost} of the {len(names)} end below their best: {listing(names)}. The table below has the numbers.",
    )


def _way(probed: Probed, source: str) -> list[tuple[int, float, float, float]]:
    """Return the points of a source's curve, from nothing gained after no step; nothing for a source without a curve."""
    found = []
    for p in _curve(probed, source):
        low, value, high = (100 * (p["gain"] + sign * SURE * p["gain_se"]) for sign in (-1, 0, 1))
        found.append((p["steps"], low, value, high))
    return [(0, 0.0, 0.0, 0.0), *found] if found else []


def lines(probed: Probed) -> list[str]:
    """Return the sources whose curves have a colour, by rank: half of them lead, the others have lost most since their best."""
    names = [row["source"] for row in probed.rows if row["kind"] == "source"]
    lead, others = names[: MOST_LINES // 2], names[MOST_LINES // 2 :]
    others = sorted(others, key=lambda source: -_lost(probed, source))[: MOST_LINES - len(lead)]
    return [source for source in names if source in lead or source in others]


def _curve(probed: Probed, source: str) -> list[CurveRow]:
    return sorted((p for p in probed.curve if p["source"] == source), key=lambda p: p["steps"])


def _lost(probed: Probed, source: str) -> float:
    """Return what a source has lost at the end of what it had gained at its best."""
    return max((-p["change"] for p in _curve(probed, source)), default=0.0)


def probe_section(data: ReportData, figures: Figures) -> str:
    """Return the section, empty where the sources were not tried out."""
    if not data.probe:
        return ""
    first = data.probe.rows[0]
    lead = (
        f"A small adapter was trained for {_last(data.probe):,} steps with each source's negatives on one half of "
        f"{first['queries']:,} queries and of their passages, and judged by the other half, over a pool of "
        f"{first['pool']:,} passages; so both ways, in {first['halvings']} halvings. A gain is in points of "
        f"nDCG@{first['cutoff']} over the frozen encoder ({100 * first['frozen']:.1f}), the mean after "
        f"{half_of(first['steps']):,} and {first['steps']:,} steps, about where the best source gains most."
    )
    scores = {row["source"]: row for row in data.ranking}
    digits = digits_of(data.ranking) + 1
    rows = [_row(row, scores.get(row["source"]), digits) for row in data.probe.rows]
    shown = len(lines(data.probe))
    caption = f"Grey: the other {len(rows) - shown}; the table below has their numbers." if len(rows) > shown else ""
    return section(
        "probe",
        "Probe: what each source does to held-out queries",
        lead,
        drawn(figures, "gains", "Line: 95 % interval. At 0 is the frozen encoder."),
        table("Gains of the sources on held-out queries", HEADS, rows, head=1),
        "<h3>On the way</h3>" if "curves" in figures else "",
        drawn(figures, "curves", caption),
        _steps(data.probe),
        _pairs(data.probe),
    )


def _row(row: ProbeRow, score: SourceRow | None, digits: int) -> list[Cell]:
    return [
        ranks(row["rank"], row["rank_low"], row["rank_high"]),
        name(row["source"], strong=row["rank"] == 1),
        gain_cell(row["gain"]),
        interval_cell(row["gain_low"], row["gain_high"]),
        gain_cell(row["gain_mrr"]),
        num(score["eci"] if score else None, digits),
        share(score["violation_rate"] if score else None),
        Cell(f"{row['n_queries']:,} of {row['queries']:,}", float(row["n_queries"])),
    ]


def _last(probed: Probed) -> int:
    """Return for how many steps all were trained."""
    return max(each["steps"] for each in [*probed.rows, *probed.curve])


def _steps(probed: Probed) -> str:
    """Return the table of the curves: a column for each number of steps."""
    looks = sorted({p["steps"] for p in probed.curve})
    if not looks:
        return ""
    heads = [("source", ""), *((f"{steps:,} steps", "points of nDCG over the frozen encoder") for steps in looks)]
    rows = []
    for row in probed.rows:
        gained = {p["steps"]: p["gain"] for p in _curve(probed, row["source"])}
        rows.append([name(row["source"]), *(gain_cell(gained.get(steps)) for steps in looks)])
    return folded("Gains after each number of steps as a table", table("Gains after each number of steps", heads, rows))


def _pairs(probed: Probed) -> str:
    order = {row["source"]: row["rank"] for row in probed.rows[:MOST_SOURCES]}
    found = [p for p in probed.pairs if order.get(p["source_a"], math.inf) < order.get(p["source_b"], -math.inf)]
    if not found:
        return ""
    found.sort(key=lambda p: (order[p["source_a"]], order[p["source_b"]]))
    rows = [
        [
            name(p["source_a"]),
            name(p["source_b"]),
            gain_cell(p["difference"]),
            interval_cell(p["low"], p["high"]),
            Cell(f"{p['p_value']:.2g}", p["p_value"]),
            text("decided" if p["decided"] else "not decided"),
        ]
        for p in found
    ]
    decided = sum(p["decided"] for p in found)
    of = f"of the first {MOST_SOURCES}" if len(probed.rows) > MOST_SOURCES else "as a table"
    title = f"All {len(rows)} pairs {of}: {decided} decided"
    return folded(title, table("Pairs of sources on held-out queries", PAIRS, rows))


def interval_cell(low: float, high: float) -> Cell:
    """Return the cell of an interval in points of nDCG, which sorts by its lower end."""
    return Cell(interval(low, high), 100 * low)
