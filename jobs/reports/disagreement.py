"""Where predictors disagree: the sources' places by each of them, and the queries on which sources differ most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jobs.output.records import SourceRow, value_of
from jobs.reports.data import ReportData
from jobs.reports.drawing import INK, MUTED, REST
from jobs.reports.html_parts import Cell, esc, folded, name, section, table
from jobs.reports.marks import LINES, MOST_LINES, Chart, Figures, Room, drawn, held, inline, listing, made_of
from jobs.reports.names import labels, named
from jobs.reports.triple import scores, texts
from jobs.reports.vega import Layer, channel, fixed, layered, options

ROW = 22
NUMBERS = 40
"""Pixels between a name and its line, for its place."""
WORDS = 110
"""Pixels between columns from which predictors have their whole names."""
MOST_SPREAD = 3
"""Of the sources in colour so many are those whose places differ most; the others lead."""


class Predictor(NamedTuple):
    """A way to order the sources: its name, and places from 1."""

    title: str
    places: Mapping[str, int]


def predictors(data: ReportData) -> list[Predictor]:
    """Return the orders of the sources; the probe's only where all of them were tried out."""
    rows: dict[str, SourceRow] = {row["source"]: row for row in data.ranking if row["source"] in data.shown}
    gains = {row["source"]: row["gain"] for row in data.probe.rows} if data.probe else {}

    def places(value: Callable[[str], float]) -> dict[str, int]:
        return {source: place for place, source in enumerate(sorted(rows, key=lambda s: (-value(s), s)), start=1)}

    found = [Predictor("probe", places(lambda s: gains[s]))] if rows.keys() <= gains.keys() and rows else []
    by = (
        ("ECI", "eci", 1),
        ("information", "information", 1),
        ("hardness", "hardness", 1),
        ("few violations", "violation_rate", -1),
    )
    for title, column, sign in by:
        found.append(Predictor(title, places(lambda s, c=column, g=sign: g * float(value_of(rows[s], c)))))  # type: ignore[misc]
    return found


def bump(data: ReportData) -> Chart | None:
    """A line a source over its places by each predictor."""
    if len(data.shown) < 2:
        return None
    orders = predictors(data)
    first = sorted(orders[0].places, key=lambda s: orders[0].places[s])
    wide = sorted(first, key=lambda s: -_spread(orders, s))
    moved = [s for s in wide if s not in first[: MOST_LINES - MOST_SPREAD]][:MOST_SPREAD]
    strong = [*first[: MOST_LINES - MOST_SPREAD], *moved]
    by = [f"{order.title}: {listing(sorted(order.places, key=lambda s, o=order: o.places[s]))}" for order in orders]  # type: ignore[misc]
    return made_of(
        "bump",
        lambda room: _draw(orders, first, strong, room),
        f"Places of {len(first)} sources by {len(orders)} predictors, best first. {'. '.join(by)}.",
    )


def _spread(orders: list[Predictor], source: str) -> int:
    places = [order.places[source] for order in orders]
    return max(places) - min(places)


def _draw(orders: list[Predictor], names: list[str], strong: list[str], room: Room) -> Any:
    shown = labels(names, room.most)
    margin = room.names + NUMBERS
    width = room.width - margin - 12 - (0 if room.narrow else margin)
    last = len(orders) - 1
    values = [
        {"x": i, "y": order.places[s], "source": s, "color": LINES[strong.index(s)] if s in strong else REST,
         "said": f"{s}: number {order.places[s]} by {order.title}"}
        for s in names for i, order in enumerate(orders)
    ]  # fmt: skip
    x = channel("x:Q", axis=None, scale=options(domain=[0, last], nice=False))
    y = channel("y:Q", axis=None, scale=options(domain=[0.4, len(names) + 0.6], reverse=True, nice=False))
    color = channel("color:N", scale=None)

    def lines(of: list[dict[str, Any]], stroke: float) -> list[Any]:
        base = Layer(inline(of)).encode(x=x, y=y, color=color, detail="source:N")
        spots = base.mark("point", aria=True, filled=True, size=70, opacity=1).encode(description="said:N")
        return [base.mark("line", strokeWidth=stroke), spots] if of else []

    grey, bold = ([v for v in values if (v["source"] in strong) is kept] for kept in (False, True))
    layers = [*lines(grey, 1.25), *lines(bold, 2.5)]
    step = width / max(last, 1)
    heads = _heads([order.title for order in orders], step)
    tops = [{"at": round(i * step), "text": text} for i, text in enumerate(heads)]
    for i, top in enumerate(tops):
        align: Any = "left" if i == 0 and room.narrow else "right" if i == last and room.narrow else "center"
        mark = Layer(inline([top])).mark("text", color=MUTED, align=align, baseline="bottom")
        layers.append(mark.encode(x=fixed(top["at"]), y=fixed(-4), text="text:N"))
    for column, align, dx in ((0, "right", -12), (last, "left", 12)):
        if column and room.narrow:
            break
        side = [{"y": orders[column].places[s], "x": column, "label": f"{orders[column].places[s]}  {shown[s]}" if column else
                 f"{shown[s]}  {orders[column].places[s]}"} for s in names]  # fmt: skip
        layers.append(Layer(inline(side)).mark("text", align=align, dx=dx, color=INK).encode(x=x, y=y, text="label:N"))
    space = held(width, margin, 0 if room.narrow else margin, ROW * len(names))
    return layered(space, *layers, width=width, height=ROW * len(names))


def _heads(titles: list[str], step: float) -> list[str]:
    """Return the predictors' names as short as it takes for columns that are `step` pixels apart."""
    short = {"information": "inform.", "few violations": "few viol.", "hardness": "hard"}
    return [short.get(title, title) if step < WORDS else title for title in titles]


def disagreement_section(data: ReportData, figures: Figures) -> str:
    """Return the section, empty where there is one source only."""
    if "bump" not in figures:
        return ""
    orders = predictors(data)
    lead = (
        "Each column orders the sources by one predictor, the best on top. Where lines cross, predictors disagree: "
        + ("the probe has tried them out, the others only look at scores. " if orders[0].title == "probe" else "")
        + "Hardness puts hard negatives first whether they are right or wrong, and few violations the safe ones whether they teach "
        "or not."
    )
    caption = "In colour: the first of them, and those whose places differ most."
    heads = [("source", ""), *((order.title, "") for order in orders)]
    rows = [
        [name(s), *(Cell(str(order.places[s]), float(order.places[s])) for order in orders)]
        for s in sorted(data.shown, key=lambda s: orders[0].places[s])
    ]
    return section(
        "disagreement",
        "Where predictors disagree",
        lead,
        drawn(figures, "bump", caption),
        folded("Places as a table", table("Places of the sources by each predictor", heads, rows)),
        _queries(data),
    )


def _queries(data: ReportData) -> str:
    if not data.apart:
        return ""
    part = "" if data.looked_at >= 1 else f", of {data.looked_at:.1%} of the queries"
    note = (
        f"The hardest negatives of two sources for the same query{part}: one has a large weight, the other a small one or one below 0. "
        "Words of the query are marked. Read which of the two is a good negative: that is what the sources differ in."
    )
    found = "".join(_query(most, least) for most, least in data.apart)
    return f'<h3>Queries on which sources disagree</h3><p class="note">{esc(note)}</p>{found}'


def _query(most: dict[str, Any], least: dict[str, Any]) -> str:
    sides = "".join(
        f"<div><p><b>{named(one['source'])}</b></p><p>{scores(one)}</p><dl>{texts(one, ('negative',))}</dl></div>"
        for one in (most, least)
    )
    return (
        f'<article class="triple"><dl>{texts(most, ("query", "positive"))}</dl><div class="two">{sides}</div></article>'
    )
