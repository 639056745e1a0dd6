"""The report's charts as Vega-Lite specifications, made with Altair.

Colours are CSS variables (`var(--accent)`), which the page's script replaces by the theme's; widths are set there too.
Names of sources are only ever data, never field names or expressions. Every chart has a description for screen readers.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt
from altair.utils.schemapi import debug_mode

from jobs.output.records import PairRow, SourceRow, value_of
from jobs.probing.fitness import few
from jobs.reports.ablations import ablation_charts
from jobs.reports.data import ReportData, by_eci
from jobs.reports.marks import (
    ACCENT,
    GRID,
    INK,
    LABEL,
    MOST_LINES,
    MUTED,
    REST,
    STATES,
    WARN,
    Chart,
    by_source,
    by_state,
    inline,
    made_of,
    state_of,
)
from jobs.reports.panels import panels
from jobs.reports.probe import probe_charts


def charts(data: ReportData) -> list[Chart]:
    """Return the charts that the data has something for."""
    with debug_mode(False):  # each figure is checked when it is whole, not its parts as they are made as well
        made = [
            *probe_charts(data),
            ranking(data),
            plane(data),
            heat(data),
            *panels(data),
            mixture(data),
            *ablation_charts(data),
            rejects(data),
            history(data),
        ]
    return [chart for chart in made if chart is not None]


def ranking(data: ReportData) -> Chart | None:
    """Points with 95 % intervals, the best by ECI first; colour says whether the leader can be told apart."""
    rows = by_eci(data)
    if not rows:
        return None
    names = ("source", "kind", "eci", "eci_lo", "eci_hi", "rank", "purity")
    values = [{**{k: value_of(row, k) for k in names}, "state": _state(row)} for row in rows]
    y = alt.Y("source:N", sort=[row["source"] for row in rows], axis=LABEL)
    tip = [
        alt.Tooltip("source:N"),
        alt.Tooltip("rank:Q"),
        alt.Tooltip("eci:Q", format=".5f"),
        alt.Tooltip("eci_lo:Q", format=".5f"),
        alt.Tooltip("eci_hi:Q", format=".5f"),
        alt.Tooltip("purity:Q", format=".3f"),
    ]
    color = by_state(values)
    base = alt.Chart(inline(values)).encode(y=y, color=color, tooltip=tip)
    uncertain = {row["source"] for row in rows if few(row)}
    sure = alt.Chart(inline([value for value in values if value["source"] not in uncertain]))
    whole = alt.Axis(title="ECI, nats per dimension (line: 95 % interval)", tickCount=6)
    bars = base.mark_bar(height=3, opacity=0.35).encode(x=alt.X("eci:Q", axis=whole), x2=alt.datum(0))
    interval = sure.mark_rule(strokeWidth=3, strokeCap="round").encode(
        y=y, color=color, tooltip=tip, x="eci_lo:Q", x2="eci_hi:Q"
    )
    points = base.mark_point(filled=True, size=110, opacity=1).encode(x="eci:Q")
    chart = alt.layer(bars, interval, points).properties(height=26 * len(rows))
    best = rows[0]
    return made_of(
        "ranking",
        "width",
        chart,
        f"Ranking of {len(rows)} sources by ECI with 95 % intervals; "
        f"{best['source']} is first with {best['eci']:.5f}. The table below has all numbers.",
    )


def _state(row: SourceRow) -> str:
    return state_of(row["rank"], row["rank_lo"])


def plane(data: ReportData) -> Chart | None:
    """Information against misinformation; rays of equal purity."""
    rows = by_eci(data)
    top = max((row["information"] for row in rows), default=0.0) * 1.08
    high = max((row["misinformation"] for row in rows), default=0.0) * 1.15
    if not top > 0:
        return None
    high = high or top / 4
    names = ("source", "rank", "information", "misinformation", "purity", "eci")
    rays = [ray for p in (0.9, 0.75, 0.5, 0.25, 0.1) for ray in _ray(p, top, high)]
    spots = [
        [(r["information"] / top, r["misinformation"] / high) for r in of]
        for of in (rows, [r for r in rays if r["end"]])
    ]
    places = _places(spots[0], [row["source"] for row in rows], spots[1])
    values = [
        {**{k: value_of(row, k) for k in names}, "state": _state(row), "place": p}
        for row, p in zip(rows, places, strict=True)
    ]
    x = alt.X(
        "information:Q",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(title="information → better", grid=False, tickCount=6),
    )
    y = alt.Y(
        "misinformation:Q",
        scale=alt.Scale(domain=[0, high], nice=False),
        axis=alt.Axis(title="misinformation → worse", grid=False, tickCount=6),
    )
    lines = alt.Chart(inline(rays)).mark_line(color=GRID, strokeDash=[4, 4]).encode(x=x, y=y, detail="purity:N")
    marks = alt.Chart(inline([ray for ray in rays if ray["end"]])).mark_text(
        color=MUTED, dx=-4, dy=-5, align="right", fontSize=11
    )
    layers = [lines, marks.encode(x=x, y=y, text="label:N")]
    color = alt.Color("state:N", scale=alt.Scale(domain=list(STATES), range=list(STATES.values())), legend=None)
    tip = [alt.Tooltip("source:N"), *(alt.Tooltip(f"{name}:Q", format=".5f") for name in names[2:])]
    points = alt.Chart(inline(values)).mark_point(filled=True, size=120, opacity=0.95)
    layers.append(points.encode(x=x, y=y, color=color, tooltip=tip))
    for place, (dx, dy, align) in PLACES.items():
        here = [value for value in values if value["place"] == place]
        text = alt.ExprRef("compact ? datum.rank : datum.source")
        label = alt.Chart(inline(here)).mark_text(
            dx=dx, dy=dy, align=align, fontSize=12, color=INK, limit=180, text=text
        )
        layers += [label.encode(x=x, y=y)] if here else []
    chart = alt.layer(*layers).add_params(alt.param(name="compact", value=False)).properties(height=380)
    return made_of(
        "plane",
        "width",
        chart,
        "Each source by its information (across) and misinformation (up), with dashed "
        "rays of equal purity. Best is far right and low. The numbers are in the ranking table.",
    )


PLACES: dict[str, tuple[int, int, Literal["left", "center", "right"]]] = {
    "right": (10, 1, "left"),
    "above": (0, -15, "center"),
    "below": (0, 15, "center"),
    "left": (-10, 1, "right"),
}


def _places(points: list[tuple[float, float]], names: list[str], ends: list[tuple[float, float]]) -> list[str]:
    """Return where each label goes so that it covers no point, label or ray's end; `none` where all do.

    Points and ends are in shares of the plane's width, taken as 800, and height.
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
    return [
        {"information": x, "misinformation": x * slope, "purity": str(purity), "label": label, "end": x > 0}
        for x in (0.0, end)
    ]


def heat(data: ReportData) -> Chart | None:
    """Pairwise differences: colour says who is ahead, its strength by how much, grey that it is not decided."""
    if not data.pairs:
        return None
    largest = max(abs(pair["difference"]) for pair in data.pairs) or 1.0
    ahead = ("row is ahead", "column is ahead", "not decided")

    def cell(pair: PairRow) -> dict[str, Any]:
        who = ahead[2] if not pair["decided"] else ahead[0] if pair["difference"] > 0 else ahead[1]
        strength = 0.35 if not pair["decided"] else 0.2 + 0.5 * math.sqrt(abs(pair["difference"]) / largest)
        return {
            **{k: pair[k] for k in ("a", "b", "difference", "lo", "hi", "p_value")},
            "who": who,
            "strength": strength,
        }

    names = list(data.shown)
    axis = alt.Axis(title=None, labelLimit=130, domain=False, ticks=False)
    base = alt.Chart(inline([cell(pair) for pair in data.pairs])).encode(
        y=alt.Y("a:N", sort=names, axis=axis),
        x=alt.X(
            "b:N",
            sort=names,
            axis=alt.Axis(title=None, labelLimit=130, domain=False, ticks=False, orient="top", labelAngle=-50),
        ),
        tooltip=[
            alt.Tooltip("a:N", title="row"),
            alt.Tooltip("b:N", title="column"),
            *(alt.Tooltip(f"{name}:Q", format=".5f") for name in ("difference", "lo", "hi")),
            alt.Tooltip("p_value:Q", format=".2g"),
        ],
    )
    rects = base.mark_rect(cornerRadius=3, stroke="var(--page)", strokeWidth=2).encode(
        color=alt.Color(
            "who:N",
            scale=alt.Scale(domain=list(ahead), range=[ACCENT, WARN, REST]),
            legend=alt.Legend(orient="bottom", title=None, labelLimit=300, symbolType="square"),
        ),
        opacity=alt.Opacity("strength:Q", scale=None, legend=None),
    )
    signs = base.mark_text(color=INK, fontSize=13).encode(text="sign:N")
    signs = signs.transform_calculate(sign="datum.who == 'not decided' ? '?' : datum.difference > 0 ? '+' : '−'")
    step = 44 if len(names) <= 10 else 34 if len(names) <= 14 else 24
    chart = alt.layer(rects, signs).properties(width=alt.Step(step), height=alt.Step(step))
    open_ = sum(not pair["decided"] for pair in data.pairs) // 2
    return made_of(
        "heat",
        "square",
        chart,
        f"Heat map of pairwise ECI differences of {len(names)} sources; {open_} pairs are "
        "not decided. The table of pairs has all numbers.",
    )


def mixture(data: ReportData) -> Chart | None:
    """Shares of the best mixture."""
    best = best_mixture(data)
    if best is None:
        return None
    parts = sorted(best["parts"], key=lambda part: -part["alpha"])
    values = [{"source": part["source"], "alpha": part["alpha"], "label": f"{part['alpha']:.1%}"} for part in parts]
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("source:N", sort=[part["source"] for part in parts], axis=LABEL),
        x=alt.X(
            "alpha:Q",
            axis=alt.Axis(title="share of the mixture", format=".0%", tickCount=5),
            scale=alt.Scale(domain=[0, 1]),
        ),
    )
    text = base.mark_text(align="left", dx=5, color=INK).encode(text="label:N")
    chart = (base.mark_bar(color=ACCENT, cornerRadius=2, height=14) + text).properties(height=24 * len(values))
    shares = ", ".join(f"{value['source']} {value['label']}" for value in values[:5])
    return made_of("mixture", "width", chart, f"Shares of the best mixture: {shares}.")


def best_mixture(data: ReportData) -> SourceRow | None:
    """Return the mixture with the highest ECI, or None where no mixture was computed."""
    return max((row for row in data.ranking if row["kind"] == "mixture"), key=lambda row: row["eci"], default=None)


def rejects(data: ReportData) -> Chart | None:
    """Rejected rows by reason."""
    counts = data.manifest["rejects"]
    if not counts:
        return None
    values: list[dict[str, Any]] = [
        {"reason": reason, "rows": n} for reason, n in sorted(counts.items(), key=lambda item: -item[1])
    ]
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("reason:N", sort=[value["reason"] for value in values], axis=LABEL),
        x=alt.X("rows:Q", axis=alt.Axis(title="rows rejected", tickCount=5, tickMinStep=1, format="~s")),
    )
    text = base.mark_text(align="left", dx=5, color=INK).encode(text=alt.Text("rows:Q", format=","))
    chart = (base.mark_bar(color=WARN, cornerRadius=2, height=14) + text).properties(height=24 * len(values))
    return made_of("rejects", "width", chart, "Rejected input rows by reason; the table has the numbers.")


def history(data: ReportData) -> Chart | None:
    """ECI of the leading sources over the runs that can be compared."""
    runs = {row["run_id"] for row in data.history}
    if len(runs) < 2:
        return None
    names = list(data.shown[:MOST_LINES])
    values = [
        {
            "time": row["created_at"].isoformat(),
            "run": row["run_id"],
            **{k: row[k] for k in ("source", "eci", "eci_lo", "eci_hi")},
        }
        for row in data.history
        if row["source"] in names
    ]
    tip = [
        alt.Tooltip("source:N"),
        alt.Tooltip("run:N"),
        *(alt.Tooltip(f"{k}:Q", format=".5f") for k in ("eci", "eci_lo", "eci_hi")),
    ]
    base = alt.Chart(inline(values)).encode(
        x=alt.X("time:T", axis=alt.Axis(title=None, grid=False, tickCount=6, labelOverlap=True)), color=by_source(names)
    )
    y = alt.Y("eci:Q", axis=alt.Axis(title="ECI"), scale=alt.Scale(zero=True))
    rules = base.mark_rule(strokeWidth=2, opacity=0.5).encode(y="eci_lo:Q", y2="eci_hi:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=tip)
    chart = alt.layer(base.mark_line(strokeWidth=2).encode(y=y), rules, points).properties(height=280)
    return made_of(
        "history",
        "width",
        chart,
        f"ECI of the {len(names)} leading sources over {len(runs)} runs; the table has the numbers.",
    )
