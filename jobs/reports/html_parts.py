"""Pieces of HTML for the report: text that is escaped, tables that sort, JSON that cannot leave its script element."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.output.markup import esc as esc
from jobs.terminal.console import TOO_FEW


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, and the number that it sorts by (None: sorts as text)."""

    text: str
    sort: float | None = None
    strong: bool = False


def embedded_json(value: Any) -> str:
    """Return JSON for a script element: no `<`, `>` or `&` in it, whatever the strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def num(value: float | None, digits: int = 3) -> Cell:
    """Return a number's cell; an empty one, sorted first, where there is none."""
    if value is None or not math.isfinite(value):
        return Cell("–", -math.inf)
    return Cell(f"{value:,.{digits}f}", float(value))


def span(low: float | None, high: float | None, digits: int) -> Cell:
    """Return an interval's cell, sorted by its lower end; `too few` where queries are too few for one."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return Cell(TOO_FEW, -math.inf)
    return Cell(f"{low:,.{digits}f} to {high:,.{digits}f}", float(low))


def share(value: float | None) -> Cell:
    """Return a share's cell, in per cent."""
    return Cell("–", -math.inf) if value is None else Cell(f"{value:.1%}", float(value))


def count(value: int | None) -> Cell:
    """Return a whole number's cell."""
    return Cell("–", -math.inf) if value is None else Cell(f"{value:,}", float(value))


def text(value: object, strong: bool = False) -> Cell:
    """Return a text's cell."""
    return Cell(str(value), None, strong)


def table(
    caption: str, headers: Sequence[tuple[str, str]], rows: Iterable[Sequence[Cell]], sortable: bool = True
) -> str:
    """Return a table in a region that scrolls sideways.

    Args:
        caption: says what the rows are.
        headers: (name, explanation or empty) of each column.
        rows: the first cell of each is its row's header.
    """
    heads = "".join(_head(name, why, sortable) for name, why in headers)
    body = "".join(f"<tr>{''.join(_cell(cell, i == 0) for i, cell in enumerate(row))}</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(caption)}"><table{kind}>'
        f"<caption>{esc(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _head(name: str, why: str, sortable: bool) -> str:
    title = f' title="{esc(why)}"' if why else ""
    inner = f'<button type="button"{title}>{esc(name)}</button>' if sortable else esc(name)
    return f'<th scope="col">{inner}</th>'


def _cell(cell: Cell, first: bool) -> str:
    tag = "th" if first else "td"
    attributes = ' scope="row"' if first else ""
    if cell.sort is not None:
        attributes += ' class="n"' + (
            f' data-sort="{cell.sort!r}"' if math.isfinite(cell.sort) else ' data-sort="-1e308"'
        )
    inner = f"<strong>{esc(cell.text)}</strong>" if cell.strong else esc(cell.text)
    return f"<{tag}{attributes}>{inner}</{tag}>"


def figure(name: str, fit: str, description: str, caption: str = "") -> str:
    """Return the place where the script draws the chart `name`."""
    note = f"<figcaption>{esc(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="chart {fit}"><div class="draw" id="chart-{name}" role="img" '
        f'aria-label="{esc(description)}"></div>{note}</figure>'
    )


def tiles(boxes: Iterable[tuple[str, str]]) -> str:
    """Return (value, label) pairs as a row of boxes."""
    inner = "".join(f"<div><dt>{esc(label)}</dt><dd>{esc(value)}</dd></div>" for value, label in boxes)
    return f'<dl class="tiles">{inner}</dl>'


def section(name: str, title: str, lead: str, *parts: str) -> str:
    """Return a section with its heading and one sentence on how to read it."""
    return f'<section id="{name}"><h2>{esc(title)}</h2><p class="lead">{esc(lead)}</p>{"".join(parts)}</section>'


def folded(title: str, *parts: str) -> str:
    """Return parts that open on a click."""
    return f"<details><summary>{esc(title)}</summary>{''.join(parts)}</details>"
