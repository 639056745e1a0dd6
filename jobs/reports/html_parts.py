"""Pieces of HTML for the report: text that is escaped, tables that sort and filter, figures, sections."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobs.output.markup import esc as esc
from jobs.reports.names import named
from jobs.terminal.console import TOO_FEW


@dataclass(frozen=True)
class Cell:
    """A table cell: what is shown, the number that it sorts by (None: sorts as text), and HTML in place of the text."""

    text: str
    sort: float | None = None
    strong: bool = False
    html: str | None = None


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


def name(value: str, strong: bool = False) -> Cell:
    """Return the cell of a source's name."""
    return Cell(value, None, strong, named(value))


def table(
    caption: str,
    headers: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[Cell]],
    sortable: bool = True,
    head: int = 0,
    tools: bool = False,
) -> str:
    """Return a table in a region that scrolls.

    Args:
        caption: says what the rows are.
        headers: (name, explanation or empty) of each column.
        head: the column of the rows' headers, which stays in sight.
        tools: whether the script adds a filter and a copy as CSV, which takes the tables of the same section that have
            the same headers of rows with it.
    """
    rows = list(rows)
    numbers = {i for row in rows[:1] for i, cell in enumerate(row) if cell.sort is not None}
    kinds = [" ".join(["key"] * (i == head) + ["n"] * (i in numbers)) for i in range(len(headers))]
    heads = "".join(_head(*given, sortable, of) for given, of in zip(headers, kinds, strict=True))
    body = "".join(f"<tr>{''.join(_cell(cell, i == head) for i, cell in enumerate(row))}</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return (
        f"{_tools(caption) if tools else ''}"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{esc(caption)}"><table{kind}>'
        f"<caption>{esc(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _tools(caption: str) -> str:
    return (
        f'<div class="tools" hidden><label>Filter <input type="search" aria-label="Filter: {esc(caption)}"></label>'
        '<button type="button" class="plain csv">Copy as CSV</button><span role="status"></span></div>'
    )


def _head(title: str, why: str, sortable: bool, kinds: str) -> str:
    hint = f' title="{esc(why)}"' if why else ""
    inner = f'<button type="button"{hint}>{esc(title)}</button>' if sortable else esc(title)
    of = f' class="{kinds}"' if kinds else ""
    return f'<th scope="col"{of}>{inner}</th>'


def _cell(cell: Cell, first: bool) -> str:
    tag = "th" if first else "td"
    kinds = ["key"] if first else []
    attributes = ' scope="row"' if first else ""
    if cell.sort is not None:
        kinds.append("n")
        attributes += f' data-sort="{cell.sort!r}"' if math.isfinite(cell.sort) else ' data-sort="-1e308"'
    if kinds:
        attributes += f' class="{" ".join(kinds)}"'
    inner = esc(cell.text) if cell.html is None else cell.html
    return f"<{tag}{attributes}>{f'<strong>{inner}</strong>' if cell.strong else inner}</{tag}>"


def figure(name: str, inner: str, description: str, caption: str = "") -> str:
    """Return a chart with its description and a caption beside it. `inner`: HTML."""
    note = f"<figcaption>{esc(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="draw" id="chart-{name}" role="img" aria-label="{esc(description)}">{inner}</div>{note}</figure>'


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


def command(what: str, line: str) -> str:
    """Return a command that is ready to copy, and what it does, which is HTML."""
    return (
        f'<div class="command"><p>{what}</p><pre tabindex="0"><code>{esc(line)}</code></pre>'
        f'<button type="button" class="plain copy" hidden>Copy</button></div>'
    )
