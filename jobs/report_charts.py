"""The report's charts as Vega-Lite specifications, made with Altair.

Colours are CSS variables (`var(--accent)`), which the page's script replaces by the theme's; widths are set there too.
Names of sources are only ever data, never field names or expressions. Every chart has a description for screen readers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import altair as alt

from jobs.report_data import BIN, ReportData, finite

ACCENT, TIED, REST, WARN, INK, MUTED, GRID = (
    f"var(--{name})" for name in ("accent", "tied", "rest", "warn", "ink", "muted", "grid")
)
LEADS, MAYBE, BEHIND = "leads", "may be as good as the leader", "behind the leader"
STATES = {LEADS: ACCENT, MAYBE: TIED, BEHIND: REST}
MOST_LINES = 6
MOST_NAME = 22
LABEL = alt.Axis(labelLimit=150, title=None, domain=False, ticks=False, labelPadding=8, labelFontSize=12)


@dataclass(frozen=True)
class Chart:
    """One figure. `fit`: `width` (fills the column), `facet` (panels, as many a row as fit) or `square` (scrolls)."""

    name: str
    fit: str
    spec: dict[str, Any]


def charts(data: ReportData) -> list[Chart]:
    """Return the charts that the data has something for."""
    made = [ranking(data), plane(data), heat(data), similarities(data), margins(data), spectra(data),
            mixture(data), ablations(data), rejects(data), history(data)]  # fmt: skip
    return [chart for chart in made if chart is not None]


def state_of(row: dict[str, Any]) -> str:
    """Return whether a ranked row leads, may be as good as the leader, or is behind."""
    return LEADS if row["rank"] == 1 else MAYBE if row["rank_lo"] == 1 else BEHIND


def _made(name: str, fit: str, chart: Any, description: str) -> Chart:
    return Chart(name, fit, {**chart.to_dict(), "description": description})


def _rows(values: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=[{k: finite(v) if isinstance(v, float) else v for k, v in row.items()} for row in values])


def ranking(data: ReportData) -> Chart | None:
    """Points with 95 % intervals, best first; colour says whether the leader can be told apart."""
    rows = [row for row in data.ranking if row["rank"] is not None]
    if not rows:
        return None
    names = ("source", "kind", "eci", "eci_lo", "eci_hi", "rank", "purity")
    values = [{**{k: row[k] for k in names}, "state": state_of(row)} for row in rows]
    y = alt.Y("source:N", sort=[row["source"] for row in rows], axis=LABEL)
    color = alt.Color(
        "state:N",
        scale=alt.Scale(domain=[state for state in STATES if any(value["state"] == state for value in values)],
                        range=[color for state, color in STATES.items() if any(value["state"] == state for value in values)]),
        legend=alt.Legend(orient="top", title=None, symbolType="circle", symbolOpacity=1, labelLimit=300, columns=3),
    )  # fmt: skip
    tip = [alt.Tooltip("source:N"), alt.Tooltip("rank:Q"), alt.Tooltip("eci:Q", format=".5f"),
           alt.Tooltip("eci_lo:Q", format=".5f"), alt.Tooltip("eci_hi:Q", format=".5f"), alt.Tooltip("purity:Q", format=".3f")]  # fmt: skip
    base = alt.Chart(_rows(values)).encode(y=y, color=color, tooltip=tip)
    whole = alt.Axis(title="ECI, nats per dimension (line: 95 % interval)", tickCount=6)
    bars = base.mark_bar(height=3, opacity=0.35).encode(x=alt.X("eci:Q", axis=whole), x2=alt.datum(0))
    interval = base.mark_rule(strokeWidth=3, strokeCap="round").encode(x="eci_lo:Q", x2="eci_hi:Q")
    points = base.mark_point(filled=True, size=110, opacity=1).encode(x="eci:Q")
    chart = alt.layer(bars, interval, points).properties(height=26 * len(rows))
    best = rows[0]
    return _made("ranking", "width", chart, f"Ranking of {len(rows)} sources by ECI with 95 % intervals; "
                 f"{best['source']} is first with {best['eci']:.5f}. The table below has all numbers.")  # fmt: skip


def plane(data: ReportData) -> Chart | None:
    """Information against misinformation; rays of equal purity."""
    rows = [row for row in data.ranking if row["rank"] is not None]
    top = max((row["information"] for row in rows), default=0.0) * 1.08
    high = max((row["misinformation"] for row in rows), default=0.0) * 1.15
    if not top > 0:
        return None
    high = high or top / 4
    names = ("source", "rank", "information", "misinformation", "purity", "eci")
    rays = [ray for p in (0.9, 0.75, 0.5, 0.25, 0.1) for ray in _ray(p, top, high)]
    spots = [[(r["information"] / top, r["misinformation"] / high) for r in of] for of in (rows, [r for r in rays if r["end"]])]
    places = _places(spots[0], [row["source"] for row in rows], spots[1])
    values = [{**{k: row[k] for k in names}, "state": state_of(row), "place": p} for row, p in zip(rows, places, strict=True)]
    x = alt.X("information:Q", scale=alt.Scale(domain=[0, top], nice=False), axis=alt.Axis(title="information → better", grid=False, tickCount=6))
    y = alt.Y("misinformation:Q", scale=alt.Scale(domain=[0, high], nice=False), axis=alt.Axis(title="misinformation → worse", grid=False, tickCount=6))
    lines = alt.Chart(_rows(rays)).mark_line(color=GRID, strokeDash=[4, 4]).encode(x=x, y=y, detail="purity:N")
    marks = alt.Chart(_rows([ray for ray in rays if ray["end"]])).mark_text(color=MUTED, dx=-4, dy=-5, align="right", fontSize=11)
    layers = [lines, marks.encode(x=x, y=y, text="label:N")]
    color = alt.Color("state:N", scale=alt.Scale(domain=list(STATES), range=list(STATES.values())), legend=None)
    tip = [alt.Tooltip("source:N"), *(alt.Tooltip(f"{name}:Q", format=".5f") for name in names[2:])]
    points = alt.Chart(_rows(values)).mark_point(filled=True, size=120, opacity=0.95)
    layers.append(points.encode(x=x, y=y, color=color, tooltip=tip))
    for place, (dx, dy, align) in PLACES.items():
        here = [value for value in values if value["place"] == place]
        text = alt.ExprRef("compact ? datum.rank : datum.source")
        label = alt.Chart(_rows(here)).mark_text(dx=dx, dy=dy, align=align, fontSize=12, color=INK, limit=180, text=text)
        layers += [label.encode(x=x, y=y)] if here else []
    chart = alt.layer(*layers).add_params(alt.param(name="compact", value=False)).properties(height=380)
    return _made("plane", "width", chart, "Each source by its information (across) and misinformation (up), with dashed "
                 "rays of equal purity. Best is far right and low. The numbers are in the ranking table.")  # fmt: skip


PLACES = {"right": (10, 1, "left"), "above": (0, -15, "center"), "below": (0, 15, "center"), "left": (-10, 1, "right")}


def _places(points: list[tuple[float, float]], names: list[str], ends: list[tuple[float, float]]) -> list[str]:
    """Return where each label goes so that it covers no point, label or ray's end at a width of 800 (`none` where all do).

    Points and ends are in shares of the width and the height of the plane.
    """
    taken = [(x * 800 - 6, (1 - y) * 380 - 6, x * 800 + 6, (1 - y) * 380 + 6) for x, y in points]
    taken += [(x * 800 - 70, (1 - y) * 380 - 16, x * 800, (1 - y) * 380 - 2) for x, y in ends]
    chosen = []
    for (x, y), name in zip(points, names, strict=True):
        width, px, py = min(180, 7 * len(name)), x * 800, (1 - y) * 380
        found = "none"
        for place, (dx, dy, align) in PLACES.items():
            left = px + dx - {"left": 0.0, "center": 0.5, "right": 1.0}[align] * width
            box = (left, py + dy - 7, left + width, py + dy + 7)
            inside = box[0] > 2 and box[2] < 798 and box[1] > 0 and box[3] < 390
            if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                found = place
                taken.append(box)
                break
        chosen.append(found)
    return chosen


def _ray(purity: float, top: float, high: float) -> list[dict[str, Any]]:
    slope = (1 - purity) / purity
    end = min(top, high / slope)
    label = f"purity {purity:g}"
    return [{"information": x, "misinformation": x * slope, "purity": str(purity), "label": label, "end": x > 0} for x in (0.0, end)]


def heat(data: ReportData) -> Chart | None:
    """Pairwise differences: colour says who is ahead, its strength by how much, grey that it is not decided."""
    if not data.pairs:
        return None
    largest = max(abs(pair["difference"]) for pair in data.pairs) or 1.0
    ahead = ("row is ahead", "column is ahead", "not decided")

    def cell(pair: dict[str, Any]) -> dict[str, Any]:
        who = ahead[2] if not pair["decided"] else ahead[0] if pair["difference"] > 0 else ahead[1]
        strength = 0.35 if not pair["decided"] else 0.2 + 0.5 * math.sqrt(abs(pair["difference"]) / largest)
        return {**{k: pair[k] for k in ("a", "b", "difference", "lo", "hi", "p_value")}, "who": who, "strength": strength}

    names = list(data.shown)
    axis = alt.Axis(title=None, labelLimit=130, domain=False, ticks=False)
    base = alt.Chart(_rows([cell(pair) for pair in data.pairs])).encode(
        y=alt.Y("a:N", sort=names, axis=axis),
        x=alt.X("b:N", sort=names, axis=alt.Axis(title=None, labelLimit=130, domain=False, ticks=False, orient="top", labelAngle=-50)),
        tooltip=[alt.Tooltip("a:N", title="row"), alt.Tooltip("b:N", title="column"),
                 *(alt.Tooltip(f"{name}:Q", format=".5f") for name in ("difference", "lo", "hi")),
                 alt.Tooltip("p_value:Q", format=".2g")],
    )  # fmt: skip
    rects = base.mark_rect(cornerRadius=3, stroke="var(--page)", strokeWidth=2).encode(
        color=alt.Color("who:N", scale=alt.Scale(domain=list(ahead), range=[ACCENT, WARN, REST]),
                        legend=alt.Legend(orient="bottom", title=None, labelLimit=300, symbolType="square")),
        opacity=alt.Opacity("strength:Q", scale=None, legend=None),
    )  # fmt: skip
    signs = base.mark_text(color=INK, fontSize=13).encode(text="sign:N")
    signs = signs.transform_calculate(sign="datum.who == 'not decided' ? '?' : datum.difference > 0 ? '+' : '−'")
    step = 44 if len(names) <= 10 else 34 if len(names) <= 14 else 24
    chart = alt.layer(rects, signs).properties(width=alt.Step(step), height=alt.Step(step))
    open_ = sum(not pair["decided"] for pair in data.pairs) // 2
    return _made("heat", "square", chart, f"Heat map of pairwise ECI differences of {len(names)} sources; {open_} pairs are "
                 "not decided. The table of pairs has all numbers.")  # fmt: skip


def _facet(layered: Any, values: list[dict[str, Any]], panels: list[str], height: int) -> Any:
    header = alt.Header(title=None, labelAnchor="start", labelFontSize=12, labelLimit=260, labelFontWeight="bold", labelColor=INK)
    return (
        layered.properties(width=260, height=height, data=_rows(values))
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
    color = alt.Color("kind:N", scale=alt.Scale(domain=list(kinds.values()), range=[ACCENT, WARN]),
                      legend=alt.Legend(orient="top", title=None, symbolType="square", labelLimit=300))  # fmt: skip
    area = alt.Chart().mark_area(interpolate="step", opacity=0.35, line={"strokeWidth": 1.5}).encode(
        x=alt.X("x:Q", axis=alt.Axis(title="similarity to the query", tickCount=5, grid=False)),
        y=alt.Y("share:Q", stack=None, axis=SHARE),
        color=color,
    )  # fmt: skip
    chart = _facet(alt.layer(area), values, list(data.shown), 90)
    return _made("similarities", "facet", chart, "Distribution of the similarity of query and positive, and of query and "
                 "negative, in a panel for each source. The less the two overlap, the easier the negatives.")  # fmt: skip


def _closed(bins: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return bins with an empty one at each end, so that areas come down to zero."""
    return [(bins[0][0] - BIN, 0.0), *bins, (bins[-1][0] + BIN, 0.0)] if bins else []


def _titles(data: ReportData, fact: str, form: str) -> dict[str, str]:
    """Return a panel's title for each shown source: its name and a fact; the fact first where the name may be cut."""
    facts = {row["source"]: form.format(row[fact]) for row in data.ranking if row["kind"] == "source"}
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
    color = alt.Color("zone:N", scale=alt.Scale(domain=list(zones), range=[WARN, ACCENT]),
                      legend=alt.Legend(orient="top", title=None, symbolType="square", labelLimit=400, columns=2))  # fmt: skip
    bars = alt.Chart().mark_bar(opacity=0.75, binSpacing=0).encode(
        x=alt.X("x:Q", axis=alt.Axis(title="margin  s_pos − s_neg", tickCount=5, grid=False)),
        x2="x2:Q",
        y=alt.Y("share:Q", axis=SHARE),
        y2=alt.datum(0),
        color=color,
        tooltip=[alt.Tooltip("x:Q", title="from"), alt.Tooltip("x2:Q", title="to"), alt.Tooltip("share:Q", format=".2%")],
    )  # fmt: skip
    zero = alt.Chart().mark_rule(color=INK, strokeWidth=1).encode(x=alt.datum(0))
    sweet = alt.Chart().mark_rule(color=INK, strokeDash=[3, 3]).encode(x=alt.datum(best))
    chart = _facet(alt.layer(bars, zero, sweet), values, [titles[source] for source in data.shown], 90)
    return _made("margins", "facet", chart, "Distribution of the margin in a panel for each source. Triples left of 0 are "
                 "likely false negatives; the dashed line marks the margin with the largest weight.")  # fmt: skip


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
    base = alt.Chart().encode(x=alt.X("k:Q", axis=alt.Axis(title="direction, strongest first", tickCount=5, grid=False)))
    y = alt.Y("share:Q", scale=alt.Scale(type="log"), axis=alt.Axis(title=None, format="~%", values=[10.0**-k for k in range(8)]))
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(y=y)
    rule = alt.Chart().mark_rule(color=WARN, strokeDash=[4, 3]).encode(x="max(rank):Q")
    chart = _facet(alt.layer(line, rule), values, panels, 90).resolve_scale(y="shared")
    return _made("spectra", "facet", chart, "Share of the trusted matrix's trace in each direction, strongest first, on a "
                 "logarithmic scale, in a panel for each source; the dashed line is the effective rank.")  # fmt: skip


def mixture(data: ReportData) -> Chart | None:
    """Shares of the best mixture."""
    best = best_mixture(data)
    if best is None:
        return None
    parts = sorted(best["parts"], key=lambda part: -part["alpha"])
    values = [{"source": part["source"], "alpha": part["alpha"], "label": f"{part['alpha']:.1%}"} for part in parts]
    base = alt.Chart(_rows(values)).encode(
        y=alt.Y("source:N", sort=[part["source"] for part in parts], axis=LABEL),
        x=alt.X("alpha:Q", axis=alt.Axis(title="share of the mixture", format=".0%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
    )
    text = base.mark_text(align="left", dx=5, color=INK).encode(text="label:N")
    chart = (base.mark_bar(color=ACCENT, cornerRadius=2, height=14) + text).properties(height=24 * len(values))
    shares = ", ".join(f"{value['source']} {value['label']}" for value in values[:5])
    return _made("mixture", "width", chart, f"Shares of the best mixture: {shares}.")


def best_mixture(data: ReportData) -> dict[str, Any] | None:
    """Return the mixture with the highest ECI, or None where no mixture was computed."""
    return max((row for row in data.ranking if row["kind"] == "mixture"), key=lambda row: row["eci"], default=None)


def ablations(data: ReportData) -> Chart | None:
    """Agreement of each perturbed ranking with the run's."""
    measure = next((name for name in ("kendall_tau", "kendall", "tau", "spearman") if data.ablations and name in data.ablations[0]), None)
    if measure is None:
        return None
    seen = {}
    for row in data.ablations:
        key = (str(row.get("ablation")), str(row.get("value")))
        seen[key] = {"case": f"{key[0]} = {key[1]}", "ablation": key[0], "agreement": row[measure]}
    values = list(seen.values())
    chart = alt.Chart(_rows(values)).mark_point(filled=True, size=90, color=ACCENT, opacity=1).encode(
        y=alt.Y("case:N", sort=[value["case"] for value in values], axis=LABEL),
        x=alt.X("agreement:Q", scale=alt.Scale(domain=[-1, 1]), axis=alt.Axis(title="agreement with the run's ranking (1: the same order)")),
        tooltip=[alt.Tooltip("case:N"), alt.Tooltip("agreement:Q", format=".3f")],
    ).properties(height=20 * len(values))  # fmt: skip
    return _made("ablations", "width", chart, "Agreement of each perturbed ranking with the run's; the table has the numbers.")


def rejects(data: ReportData) -> Chart | None:
    """Rejected rows by reason."""
    counts = data.manifest["rejects"]
    if not counts:
        return None
    values = [{"reason": reason, "rows": n} for reason, n in sorted(counts.items(), key=lambda item: -item[1])]
    base = alt.Chart(_rows(values)).encode(
        y=alt.Y("reason:N", sort=[value["reason"] for value in values], axis=LABEL),
        x=alt.X("rows:Q", axis=alt.Axis(title="rows rejected", tickCount=5, tickMinStep=1, format="~s")),
    )
    text = base.mark_text(align="left", dx=5, color=INK).encode(text=alt.Text("rows:Q", format=","))
    chart = (base.mark_bar(color=WARN, cornerRadius=2, height=14) + text).properties(height=24 * len(values))
    return _made("rejects", "width", chart, "Rejected input rows by reason; the table has the numbers.")


def history(data: ReportData) -> Chart | None:
    """ECI of the leading sources over the runs that can be compared."""
    runs = {row["run_id"] for row in data.history}
    if len(runs) < 2:
        return None
    names = list(data.shown[:MOST_LINES])
    values = [
        {"time": row["created_at"].isoformat(), "run": row["run_id"], **{k: row[k] for k in ("source", "eci", "eci_lo", "eci_hi")}}
        for row in data.history
        if row["source"] in names
    ]
    color = alt.Color("source:N", scale=alt.Scale(domain=names, range=[f"var(--s{i})" for i in range(1, MOST_LINES + 1)]),
                      legend=alt.Legend(orient="top", title=None, symbolType="circle", labelLimit=150, columns=3))  # fmt: skip
    tip = [alt.Tooltip("source:N"), alt.Tooltip("run:N"), *(alt.Tooltip(f"{k}:Q", format=".5f") for k in ("eci", "eci_lo", "eci_hi"))]
    base = alt.Chart(_rows(values)).encode(x=alt.X("time:T", axis=alt.Axis(title=None, grid=False, tickCount=6, labelOverlap=True)), color=color)
    y = alt.Y("eci:Q", axis=alt.Axis(title="ECI"), scale=alt.Scale(zero=True))
    rules = base.mark_rule(strokeWidth=2, opacity=0.5).encode(y="eci_lo:Q", y2="eci_hi:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=tip)
    chart = alt.layer(base.mark_line(strokeWidth=2).encode(y=y), rules, points).properties(height=280)
    return _made("history", "width", chart, f"ECI of the {len(names)} leading sources over {len(runs)} runs; the table has the numbers.")
