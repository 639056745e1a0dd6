"""The report on `eci ablate`: each perturbed ranking's agreement with the run's, and the ECI of each source under it.

Two figures and a table with all numbers; nothing where no ablations were made.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from jobs.reports.data import ReportData, by_eci, digits_of
from jobs.reports.html_parts import folded, num, section, table, text
from jobs.reports.marks import ACCENT, INK, REST, WARN, Chart, Figures, drawn, inline, made_of

CASES = alt.Axis(labelLimit=170, title=None, domain=False, ticks=False, labelPadding=8, labelFontSize=11)
MOST_ROWS = 500
MOST_CASES = 60
SAME, OTHER = "the same best source", "another best source"


def cases(data: ReportData) -> list[tuple[str, dict[str, Any]]]:
    """Return (label, row of `ablations`) of the figures: the run itself first, then in the order of the table."""
    rows = sorted(data.ablations, key=lambda row: row["ablation"] != "none")[:MOST_CASES]
    return [(_label(row), row) for row in rows]


def _label(row: dict[str, Any]) -> str:
    kind, value = row["ablation"], row["value"]
    return value if kind in ("none", "sample") else f"{kind} {value}"


def ablation_charts(data: ReportData) -> list[Chart | None]:
    """Return the two figures, None for one without data."""
    return [agreement(data), ablated_sources(data)]


def agreement(data: ReportData) -> Chart | None:
    """Kendall's tau of each perturbed ranking with the run's; colour says whether the best source is the same."""
    found = [(label, row) for label, row in cases(data) if row["kendall"] is not None and row["ablation"] != "none"]
    if not found:
        return None
    values = [
        {"case": label, "best": _best(data, row), **{k: row[k] for k in ("kendall", "spearman", "top_source")}}
        for label, row in found
    ]
    low = min(0.0, *(row["kendall"] for _, row in found))
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("case:N", sort=[label for label, _ in found], axis=CASES),
        x=alt.X(
            "kendall:Q",
            scale=alt.Scale(domain=[low, 1], nice=True),
            axis=alt.Axis(title="Kendall tau with the run's ranking", tickCount=4),
        ),
        color=alt.Color(
            "best:N",
            scale=alt.Scale(domain=[SAME, OTHER], range=[ACCENT, WARN]),
            legend=alt.Legend(orient="top", title=None, symbolType="circle", symbolOpacity=1, labelLimit=300),
        ),
        tooltip=[
            alt.Tooltip("case:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("kendall", "spearman")),
            alt.Tooltip("top_source:N", title="best source"),
        ],
    )
    bars = base.mark_bar(height=3, opacity=0.35).encode(x2=alt.datum(0))
    points = base.mark_point(filled=True, size=90, opacity=1)
    chart = alt.layer(bars, points).properties(height=22 * len(values))
    lowest = min(found, key=lambda case: case[1]["kendall"])
    return made_of(
        "ablations",
        "width",
        chart,
        f"Kendall tau of {len(found)} perturbed rankings with the run's; the lowest is {lowest[1]['kendall']:.2f}, "
        f"for {lowest[0]}. The table has the numbers.",
    )


def ablated_sources(data: ReportData) -> Chart | None:
    """ECI of each source in each perturbed ranking; colour is its share of the best one's ECI in the same row.

    ECI of different temperatures or formulas has different sizes, so colours compare sources within a row only.
    """
    names = list(data.shown)
    values = []
    found = cases(data)
    for label, row in found:
        ordered = sorted(row["sources"], key=lambda one: -one["eci"])
        top = ordered[0]["eci"] if ordered else 0.0
        for rank, one in enumerate(ordered, start=1):
            if one["source"] in names:
                part = max(one["eci"], 0.0) / top if top > 0 else 0.0
                values.append(
                    {"case": label, **one, "rank": rank, "strength": 0.06 + 0.6 * part, "label": _short(one["eci"])}
                )
    if not values:
        return None
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("case:N", sort=[label for label, _ in found], axis=CASES),
        x=alt.X(
            "source:N",
            sort=names,
            axis=alt.Axis(title=None, labelLimit=130, domain=False, ticks=False, orient="top", labelAngle=-50),
        ),
        tooltip=[
            alt.Tooltip("case:N"),
            alt.Tooltip("source:N"),
            alt.Tooltip("eci:Q", format=".5f"),
            alt.Tooltip("rank:Q"),
        ],
    )
    first = alt.datum.rank == 1
    rects = base.mark_rect(cornerRadius=3, strokeWidth=2, stroke="var(--page)").encode(
        color=alt.condition(first, alt.value(ACCENT), alt.value(REST)),
        opacity=alt.Opacity("strength:Q", scale=None, legend=None),
    )
    shown = alt.ExprRef("compact ? datum.rank : datum.label")
    numbers = base.mark_text(color=INK, fontSize=11, text=shown)
    width = 58 if len(names) <= 14 else 50
    chart = alt.layer(rects, numbers).add_params(alt.param(name="compact", value=False))
    return made_of(
        "ablated",
        "square",
        chart.properties(width=alt.Step(width), height=alt.Step(24)),
        f"ECI of {len(names)} sources, across, in {len(found)} rankings, down: the run's own first, then each "
        "with one thing changed. The table has the numbers.",
    )


def _best(data: ReportData, row: dict[str, Any]) -> str:
    first = next((one["source"] for one in by_eci(data) if one["kind"] == "source"), None)
    return SAME if row["top_source"] == first else OTHER


def _short(value: float) -> str:
    """Return an ECI in at most seven characters: 0.0817, 4e-4, 12.3."""
    if abs(value) >= 0.001 or value == 0:
        return f"{value:.3g}" if abs(value) >= 1 else f"{value:.4f}"
    return f"{value:.0e}".replace("e-0", "e-")


def ablation_section(data: ReportData, figures: Figures) -> str:
    """Return the section, empty where `eci ablate` has not run."""
    if not data.ablations:
        return ""
    digits = digits_of(data.ranking)
    heads = [(name, "") for name in ("changed", "to", "Kendall", "Spearman", "best source", "ECI of each source")]
    rows = [
        [text(row["ablation"]), text(row["value"]), num(row["kendall"]), num(row["spearman"]), text(row["top_source"]),
         text(", ".join(f"{one['source']} {one['eci']:.{digits}f}" for one in row["sources"]))]
        for row in data.ablations[:MOST_ROWS]
    ]  # fmt: skip
    changed = [row for row in data.ablations if row["ablation"] != "none"]
    same = sum(_best(data, row) == SAME for row in changed)
    lead = (
        "The ranking again with one thing changed at a time: an order that survives does not hang on that choice. A "
        "Kendall tau of 1 is the same order, -1 the reverse. "
        f"{same} of {len(changed)} keep the best source."
    )
    caption = (
        "In the cells is ECI (on a narrow screen the rank). Blue: the best source of the row; the stronger the "
        "shade, the nearer to it. Compare within a row: another temperature or formula has another scale."
    )
    return section(
        "ablations",
        "Ablations",
        lead,
        "<h3>Agreement with the run</h3>",
        drawn(figures, "ablations"),
        "<h3>ECI of each source</h3>",
        drawn(figures, "ablated", caption),
        folded("All ablations as a table", table("Ablations", heads, rows)),
    )
