"""Numbers by rows and columns as a table whose cells say by their shade how much: pairs of sources, sources under ablations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobs.reports.data import ReportData, by_eci
from jobs.reports.html_parts import esc

SHADES = 4
MOST_COLUMNS = 12
"""Sources in a grid: more columns than these no page of paper holds."""


class Square(NamedTuple):
    """A cell: its number as text, what it says to who points at it, its kind (a class of page.css), its strength from 0 to 1."""

    text: str
    said: str
    kind: str
    strength: float = 0.0


class Row(NamedTuple):
    """A row: its header as HTML, and its cells; None is an empty one."""

    head: str
    cells: Sequence[Square | None]


def columns(data: ReportData) -> list[str]:
    """Return the sources of a grid, the first by ECI."""
    return [row["source"] for row in by_eci(data) if row["source"] in data.shown][:MOST_COLUMNS]


def grid(caption: str, corner: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the table. `heads`: of the columns, HTML. `corner`: what rows and columns are."""
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    body = "".join(
        f'<tr><th scope="row" class="key">{row.head}</th>{"".join(map(_square, row.cells))}</tr>' for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(caption)}"><table class="grid">'
        f'<caption>{esc(caption)}</caption><thead><tr><th scope="col" class="key">{esc(corner)}</th>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _square(square: Square | None) -> str:
    if square is None:
        return "<td></td>"
    shade = round(min(max(square.strength, 0.0), 1.0) * SHADES)
    return f'<td class="{square.kind} q{shade}" title="{esc(square.said)}">{esc(square.text)}</td>'
