"""Cells of tables that say what a probe and a ranking say."""

from __future__ import annotations

from jobs.probing.answer import points
from jobs.reports.html_parts import Cell, num


def ranks(rank: int, low: int | None, high: int | None) -> Cell:
    """Return a rank's cell, behind it the ranks that are not excluded."""
    return Cell(f"{rank}" + (f" ({low}–{high})" if low != high else ""), float(rank))


def gain_cell(value: float | None) -> Cell:
    """Return the cell of a gain in points of nDCG; an empty one, sorted first, where there is none."""
    return num(None) if value is None else Cell(points(value), 100 * value)
