"""What the report's charts share: colours by name and by state, axes of names, data inline, and the finished figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt

from jobs.reports.data import finite
from jobs.reports.html_parts import figure

ACCENT, TIED, REST, WARN, INK, MUTED, GRID = (
    f"var(--{name})" for name in ("accent", "tied", "rest", "warn", "ink", "muted", "grid")
)
MOST_NAME = 22
MOST_LINES = 6
LEADS, MAYBE, BEHIND = "leads", "may be as good as the leader", "behind the leader"
STATES = {LEADS: ACCENT, MAYBE: TIED, BEHIND: REST}
LABEL = alt.Axis(labelLimit=150, title=None, domain=False, ticks=False, labelPadding=8, labelFontSize=12)


@dataclass(frozen=True)
class Chart:
    """One figure. `fit`: `width` (fills the column), `facet` (panels, as many a row as fit) or `square` (scrolls)."""

    name: str
    fit: str
    spec: dict[str, Any]


Figures = dict[str, Chart]


def drawn(figures: Figures, name: str, caption: str = "") -> str:
    """Return the place of a chart on the page, empty where there is no such chart."""
    chart = figures.get(name)
    return figure(name, chart.fit, chart.spec["description"], caption) if chart else ""


def made_of(name: str, fit: str, chart: Any, description: str) -> Chart:
    """Return a figure; its description is what a screen reader says."""
    return Chart(name, fit, {**chart.to_dict(validate=False), "description": description})


def state_of(rank: int | None, low: int | None) -> str:
    """Return whether a row leads, may be as good as the leader, or is behind. `low`: the best rank that it may have."""
    return LEADS if rank == 1 else MAYBE if low == 1 else BEHIND


def by_state(values: list[dict[str, Any]]) -> alt.Color:
    """Return the colour of the field `state`; its legend has the states that there are."""
    states = [state for state in STATES if any(value["state"] == state for value in values)]
    return alt.Color(
        "state:N",
        scale=alt.Scale(domain=states, range=[STATES[state] for state in states]),
        legend=alt.Legend(orient="top", title=None, symbolType="circle", symbolOpacity=1, labelLimit=300, columns=3),
    )


def by_source(names: list[str]) -> alt.Color:
    """Return the colour of the field `source` for lines of at most MOST_LINES sources."""
    return alt.Color(
        "source:N",
        scale=alt.Scale(domain=names, range=[f"var(--s{i})" for i in range(1, MOST_LINES + 1)]),
        legend=alt.Legend(orient="top", title=None, symbolType="circle", labelLimit=150, columns=3),
    )


def inline(values: list[dict[str, Any]]) -> alt.InlineData:
    """Return rows as a chart's data; what is not finite becomes null."""
    return alt.InlineData(
        values=[{k: finite(v) if isinstance(v, float) else v for k, v in row.items()} for row in values]
    )
