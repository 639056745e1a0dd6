"""What the report's charts share: two rooms to be drawn in, colours by name and by state, data inline, and the finished figure.

Colours are CSS variables (`var(--accent)`), so that one drawing serves light and dark. Names of sources are only ever data, never
field names or expressions. Every chart has a description for screen readers that names its sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.reports.data import finite
from jobs.reports.drawing import ACCENT, REST, TIED, svg
from jobs.reports.html_parts import figure
from jobs.reports.vega import Layer, Spec, channel, fixed, options

MOST_LINES = 6
LINES = tuple(f"var(--s{i})" for i in range(1, MOST_LINES + 1))
LEADS, MAYBE, BEHIND = "leads", "may be as good as the leader", "behind the leader"
STATES = {LEADS: ACCENT, MAYBE: TIED, BEHIND: REST}
SHAPES = {LEADS: "circle", MAYBE: "diamond", BEHIND: "square"}
MOST_SAID = 30
"""Sources that a description names."""


@dataclass(frozen=True)
class Room:
    """A width that charts are drawn for: that of the whole, of names at its left edge, and characters of a name."""

    name: str
    width: int
    names: int
    most: int

    @property
    def narrow(self) -> bool:
        """Whether this is a phone's room."""
        return self.width < 500


WIDE, NARROW = Room("wide", 760, 194, 26), Room("narrow", 340, 116, 14)


def names_axis(room: Room) -> Spec:
    """Return the axis of names at the left of a chart, as wide as the room has it."""
    return options(
        title=None, domain=False, ticks=False, labelPadding=8, labelLimit=room.names - 8,
        minExtent=room.names, maxExtent=room.names,
    )  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """One figure: a specification for a wide room and one for a narrow one, and what it shows in words."""

    name: str
    spec: dict[str, Any]
    narrow: dict[str, Any]
    description: str


Figures = dict[str, Chart]


def drawn(figures: Figures, name: str, caption: str = "") -> str:
    """Return a chart on the page, empty where there is no such chart."""
    chart = figures.get(name)
    if chart is None:
        return ""
    both = "".join(
        f'<div class="{room.name}" aria-hidden="true">{svg(spec, f"{name}-{room.name}")}</div>'
        for room, spec in ((WIDE, chart.spec), (NARROW, chart.narrow))
    )
    return figure(name, both, chart.description, caption)


def made_of(name: str, draw: Callable[[Room], Any], description: str) -> Chart:
    """Return a figure; its description is what a screen reader says."""
    wide, narrow = (draw(room) for room in (WIDE, NARROW))
    return Chart(name, wide, narrow, description)


def listing(names: Sequence[str]) -> str:
    """Return names for a description, in order."""
    more = f" and {len(names) - MOST_SAID} more" if len(names) > MOST_SAID else ""
    return ", ".join(names[:MOST_SAID]) + more


def state_of(rank: int | None, low: int | None) -> str:
    """Return whether a row leads, may be as good as the leader, or is behind. `low`: the best rank that it may have."""
    return LEADS if rank == 1 else MAYBE if low == 1 else BEHIND


def states_of(values: Sequence[dict[str, Any]]) -> list[str]:
    """Return the states that there are, in order."""
    return [state for state in STATES if any(value["state"] == state for value in values)]


def by_state(states: list[str], legend: bool = True, columns: int = 3) -> dict[str, Any]:
    """Return colour and shape of the field `state`: shapes tell it without colours."""
    shown = options(orient="top", title=None, labelLimit=300, columns=columns) if legend else None
    color = channel("state:N", scale=options(domain=states, range=[STATES[state] for state in states]), legend=shown)
    shape = channel("state:N", scale=options(domain=states, range=[SHAPES[state] for state in states]), legend=shown)
    return {"color": color, "shape": shape}


def spread(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Return places moved apart so that any two are `least` from each other, within low..high where that is possible."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [min(max(places[i], low), high) for i in order]
    for _ in range(60):
        for i in range(len(moved) - 1):
            if (short := least - (moved[i + 1] - moved[i])) > 0:
                moved[i], moved[i + 1] = moved[i] - short / 2, moved[i + 1] + short / 2
        over, under = max(moved, default=high) - high, low - min(moved, default=low)
        moved = [place - max(over, 0) + max(under, 0) for place in moved]
    found = [0.0] * len(places)
    for place, i in zip(moved, order, strict=True):
        found[i] = place
    return found


def held(width: int, left: int, right: int, height: int) -> Any:
    """Return an unseen rectangle that keeps room for names beside a plot, however wide the reader's font is."""
    return (
        Layer(inline([{}]))
        .mark("rect", opacity=0)
        .encode(x=fixed(-left), x2=fixed(width + right), y=fixed(0), y2=fixed(height))
    )


def inline(values: list[dict[str, Any]]) -> Spec:
    """Return rows as a chart's data; what is not finite becomes null."""
    return {"values": [{k: finite(v) if isinstance(v, float) else v for k, v in row.items()} for row in values]}
