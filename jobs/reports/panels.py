"""The report's charts with a panel for each source: distributions of similarities and margins, spectra."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from jobs.output.records import value_of
from jobs.reports.data import BIN, ReportData
from jobs.reports.marks import ACCENT, INK, MOST_NAME, WARN, Chart, inline, made_of


def panels(data: ReportData) -> list[Chart | None]:
    """Return the three charts, None for one without data."""
    return [similarities(data), margins(data), spectra(data)]


def _facet(layered: Any, values: list[dict[str, Any]], panels: list[str], height: int) -> Any:
    header = alt.Header(
        title=None, labelAnchor="start", labelFontSize=12, labelLimit=260, labelFontWeight="bold", labelColor=INK
    )
    return (
        layered.properties(width=260, height=height, data=inline(values))
        .facet(facet=alt.Facet("panel:N", sort=panels, header=header), columns=3)
        .resolve_scale(y="independent")
    )


SHARE = alt.Axis(title=None, labels=False, ticks=False, grid=False, domain=False)


def similarities(data: ReportData) -> Chart | None:
    """Distributions of s_pos and s_neg, a panel a source."""
    kinds = {"s_pos": "positive (s_pos)", "s_neg": "negative (s_neg)"}
    values = []
    for measure, kind in kinds.items():
        for source, bins in data.histograms.get(measure, {}).items():
            for x, share in _closed(bins):
                values.append({"panel": source, "x": round(x + BIN / 2, 4), "share": share, "kind": kind})
    if not values:
        return None
    color = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(kinds.values()), range=[ACCENT, WARN]),
        legend=alt.Legend(orient="top", title=None, symbolType="square", labelLimit=300),
    )
    area = (
        alt.Chart()
        .mark_area(interpolate="step", opacity=0.35, line={"strokeWidth": 1.5})
        .encode(
            x=alt.X("x:Q", axis=alt.Axis(title="similarity to the query", tickCount=5, grid=False)),
            y=alt.Y("share:Q", stack=None, axis=SHARE),
            color=color,
        )
    )
    chart = _facet(alt.layer(area), values, list(data.shown), 90)
    return made_of(
        "similarities",
        "facet",
        chart,
        "Distribution of the similarity of query and positive, and of query and "
        "negative, in a panel for each source. The less the two overlap, the easier the negatives.",
    )


def _closed(bins: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return bins with an empty one at each end, so that areas come down to zero."""
    return [(bins[0][0] - BIN, 0.0), *bins, (bins[-1][0] + BIN, 0.0)] if bins else []


def _titles(data: ReportData, fact: str, form: str) -> dict[str, str]:
    """Return a panel's title for each shown source: its name and a fact; the fact first where the name may be cut."""
    facts = {row["source"]: form.format(value_of(row, fact)) for row in data.ranking if row["kind"] == "source"}
    return {s: f"{s} · {facts[s]}" if len(s) <= MOST_NAME else f"{facts[s]} · {s}" for s in data.shown}


def margins(data: ReportData) -> Chart | None:
    """Distribution of the margin, a panel a source; the false-negative zone is on the left of 0."""
    titles = _titles(data, "violation_rate", "{:.1%} in the zone")
    zones = ("false-negative zone (below 0)", "above 0")
    values = [
        {"panel": titles[source], "x": x, "x2": round(x + BIN, 4), "share": share, "zone": zones[x >= 0]}
        for source, bins in data.histograms.get("margin", {}).items()
        for x, share in bins
        if share > 0
    ]
    if not values:
        return None
    best = float(data.ranking[0]["temperature"]) * math.log(3)
    color = alt.Color(
        "zone:N",
        scale=alt.Scale(domain=list(zones), range=[WARN, ACCENT]),
        legend=alt.Legend(orient="top", title=None, symbolType="square", labelLimit=400, columns=2),
    )
    bars = (
        alt.Chart()
        .mark_bar(opacity=0.75, binSpacing=0)
        .encode(
            x=alt.X("x:Q", axis=alt.Axis(title="margin  s_pos − s_neg", tickCount=5, grid=False)),
            x2="x2:Q",
            y=alt.Y("share:Q", axis=SHARE),
            y2=alt.datum(0),
            color=color,
            tooltip=[
                alt.Tooltip("x:Q", title="from"),
                alt.Tooltip("x2:Q", title="to"),
                alt.Tooltip("share:Q", format=".2%"),
            ],
        )
    )
    zero = alt.Chart().mark_rule(color=INK, strokeWidth=1).encode(x=alt.datum(0))
    sweet = alt.Chart().mark_rule(color=INK, strokeDash=[3, 3]).encode(x=alt.datum(best))
    chart = _facet(alt.layer(bars, zero, sweet), values, [titles[source] for source in data.shown], 90)
    return made_of(
        "margins",
        "facet",
        chart,
        "Distribution of the margin in a panel for each source. Triples left of 0 are "
        "likely false negatives; the dashed line marks the margin with the largest weight.",
    )


def spectra(data: ReportData) -> Chart | None:
    """Eigenvalues of M+ as shares of its trace, a panel a source, with the effective rank."""
    ranks = {row["source"]: row["effective_rank"] for row in data.ranking if row["kind"] == "source"}
    titles = _titles(data, "effective_rank", "effective rank {:.0f}")
    panels = [titles[source] for source in data.shown if source in data.spectra]
    values = [
        {"panel": titles[source], "k": k, "share": share, "rank": ranks[source]}
        for source, points in data.spectra.items()
        for k, share in points
        if share > 1e-7
    ]
    if not values:
        return None
    base = alt.Chart().encode(
        x=alt.X("k:Q", axis=alt.Axis(title="direction, strongest first", tickCount=5, grid=False))
    )
    y = alt.Y(
        "share:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(title=None, format="~%", values=[10.0**-k for k in range(8)]),
    )
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(y=y)
    rule = alt.Chart().mark_rule(color=WARN, strokeDash=[4, 3]).encode(x="max(rank):Q")
    chart = _facet(alt.layer(line, rule), values, panels, 90).resolve_scale(y="shared")
    return made_of(
        "spectra",
        "facet",
        chart,
        "Share of the trusted matrix's trace in each direction, strongest first, on a "
        "logarithmic scale, in a panel for each source; the dashed line is the effective rank.",
    )
